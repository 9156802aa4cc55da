"""What became of everything that was said: the words, each once, and the seconds, each in one of the books."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from demo.vendors.truth import Recording
from tests.topology.clients import NOTICED_SECONDS, Phone, Piece, Talker
from tests.topology.deployment import Topology

SEAM = 0.5
"""Seconds on either side of a cut in which a word may be half on one connection: heard by neither, or by both."""
IN_FLIGHT = 0.5
"""Seconds that may be lost where a server ends in order: it takes what was on its way, but not for ever."""


@dataclass
class Books:
    """``missing`` and ``twice``: words that should be there, or are there too often. ``received`` of ``sent`` seconds
    reached a server; of those ``failed`` stayed failed. ``off``: how far the worst session's books are from
    adding up."""

    words: int = 0
    missing: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    sent: float = 0.0
    received: float = 0.0
    failed: float = 0.0
    settled: float = 0.0
    off: float = 0.0
    memories: int = 0
    connections: int = 0

    def add(self, other: Books) -> None:
        for name in ("words", "sent", "received", "failed", "settled", "memories", "connections"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.missing += other.missing
        self.twice += other.twice
        self.off = max(self.off, other.off)


def plain(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def books(talker: Talker, memories: list[dict[str, Any]], recording: Recording) -> Books:
    """Of one user. A word that lies whole in what surely reached a server must be there, as often as it was said."""
    found = Counter(
        word for memory in memories for item in memory["transcript_segments"] for word in plain(item["text"])
    )
    said = Counter(word for item in recording.words for word in plain(item.word))
    sure: Counter[str] = Counter()
    for item in recording.words:
        if any(_inside(item.start, item.end, piece, last=piece is talker.pieces[-1]) for piece in talker.pieces):
            sure.update(plain(item.word))
    seams = len(talker.pieces) - 1
    twice = list((found - said).elements())
    result = Books(
        words=sum(found.values()),
        missing=list((sure - found).elements()),
        twice=twice[seams:],  # at each seam the half of a word may be heard on both sides
        sent=sum(piece.end - piece.start for piece in talker.pieces),
        memories=len(memories),
        connections=len(talker.pieces),
    )
    for memory in memories:
        for counted in (memory.get("accounting") or {}).values():
            parts = sum(float(counted[name]) for name in ("transcribed", "silence", "failed"))
            result.off = max(result.off, abs(parts - float(counted["received"])))
            result.received += float(counted["received"])
            result.failed += float(counted["failed"])
            result.settled += float(counted.get("settled") or 0.0)
    return result


def told(talker: Talker, memories: list[dict[str, Any]]) -> str:
    """What became of one user's talk, to read where it is not right."""
    lines = [f"{talker.uid}: {talker.pieces}"]
    for memory in memories:
        lines.append(f"  memory {memory['id']} from {memory.get('time_zero')}: {memory.get('accounting')}")
        for item in memory["transcript_segments"]:
            lines.append(f"    {item['start']:7.2f} {item['end']:7.2f} {item['stt_provider']} {item['text']}")
    return "\n".join(lines)


def _inside(start: float, end: float, piece: Piece, *, last: bool) -> bool:
    lost = 0.0 if last else IN_FLIGHT if piece.orderly else NOTICED_SECONDS
    return piece.start + (SEAM if piece.start else 0.0) <= start and end <= piece.end - lost - (0.0 if last else SEAM)


def settled(topology: Topology, patience: float) -> None:
    """Wait until every session has ended, every journal was handed over and every run has finished."""
    until = time.monotonic() + patience
    while True:
        journals = topology.rows("SELECT host, state FROM hosts_hostjournal WHERE state IN ('open', 'closed')")
        runs = topology.rows(
            "SELECT id, kind, state, current_step FROM pipeline_postprocessingrun WHERE state <> 'finished'"
        )
        if not journals and not runs:
            return
        assert time.monotonic() < until, f"not settled: {journals[:20]} {runs[:20]}"
        time.sleep(1.0)


def memories_of(phone: Phone) -> list[dict[str, Any]]:
    """Every memory of a user, whole."""
    listed = phone.call("GET", "/v1/memories", params={"limit": 50, "include_discarded": "true"})
    return [phone.call("GET", f"/v1/memories/{item['id']}") for item in listed]
