"""The live sessions behind a memory, for support staff: vendors, failures, reconnects, seconds. Never a word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from memories.pipeline import missing_audio
from memories.repository import processing
from memories.shapes import ProcessingMemory


def lines(uid: str, processing_memory_id: str) -> Iterator[str]:
    """Yield lines about the live sessions of a processing memory: times, state, seconds and vendors, no words."""
    try:
        found = processing.get(uid, processing_memory_id)
    except processing.ProcessingMemoryNotFound:
        yield "  live: the processing memory is gone"
        return
    ended = f"ended by {found.ended}" if found.ended else "open: who comes back within the gap continues it"
    yield f"  live: {len(found.session_ids)} sessions, {ended}"
    books = missing_audio.accounting(found)
    for index, session in enumerate(found.session_ids):
        began = found.timer_starts[index] if index < len(found.timer_starts) else found.timer_start
        yield f"    {datetime.fromtimestamp(began, UTC):%Y-%m-%d %H:%M:%S} session {session}{_state(found, session)}"
        counted = books.get(session)
        if counted is not None:
            yield f"      {_seconds(counted)}"
            yield from (f"      {_vendor(name, facts)}" for name, facts in (counted.get("vendors") or {}).items())


def _state(found: ProcessingMemory, session: str) -> str:
    audio = found.audio.get(session)
    return "" if audio is None or audio.over else ", going on"


def _seconds(counted: dict[str, Any]) -> str:
    parts = (f"{name} {float(counted.get(name) or 0.0):.2f} s" for name in ("transcribed", "silence", "failed"))
    told = f"received {float(counted.get('received') or 0.0):.2f} s: {', '.join(parts)}"
    settled = float(counted.get("settled") or 0.0)
    told += f" (of what had failed {settled:.2f} s were settled from the journal)" if settled else ""
    reasons = ", ".join(f"{why} {float(seconds):.2f} s" for why, seconds in (counted.get("reasons") or {}).items())
    return f"{told}; {reasons}" if reasons else told


def _vendor(name: str, facts: dict[str, Any]) -> str:
    reconnects = max(0, int(facts.get("connections") or 0) - 1)
    failures = ", ".join(f"{code} x{count}" for code, count in (facts.get("failures") or {}).items()) or "none"
    shown = ", shown" if facts.get("shown") else ""
    return (
        f"{name}: heard {float(facts.get('seconds') or 0.0):.2f} s, {facts.get('words', 0)} words{shown}; "
        f"reconnected {reconnects} times; failures: {failures}"
    )
