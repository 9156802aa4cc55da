"""Whose voices they are, and why: one sentence each with its numbers; and the colours under which they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from speakers.models import SpeakerDecision
from speakers.policy import CANDIDATE_USER, MARGIN
from speakers.reasons import Reason, sentence
from transcription.segments import Segment, speaker_number

COLOURS: Final = 8
SHOWN: Final = 50


@dataclass(frozen=True, slots=True)
class Voice:
    """What was decided about one voice of a memory. ``who``: the label's name; ``numbers``: what decided, short;
    ``sentence``: the rule in words."""

    label: str
    colour: int
    who: str
    numbers: str
    sentence: str
    manual: bool
    certain: bool
    decided_at: object


class Names:
    """What people are called on the page: by name where the words are revealed, else by id."""

    def __init__(self, known: Mapping[str, str], *, revealed: bool) -> None:
        self._known = known
        self._revealed = revealed

    def of_person(self, person_id: str) -> str:
        if self._revealed and person_id in self._known:
            return self._known[person_id]
        return f"person {person_id[:8]}"

    def of(self, candidate: str) -> str:
        return "the user" if candidate == CANDIDATE_USER else self.of_person(candidate)

    def speaker(self, segment: Segment) -> str:
        if segment.is_user:
            return "the user"
        return self.of_person(segment.person_id) if segment.person_id else f"Speaker {speaker_number(segment.speaker)}"


def colours(segments: Sequence[Segment]) -> dict[str, int]:
    """A colour for each label, in the order in which they first speak."""
    found: dict[str, int] = {}
    for segment in segments:
        found.setdefault(segment.speaker, len(found) % COLOURS)
    return found


def decided(uid: str, memory_id: str, names: Names, palette: Mapping[str, int]) -> list[Voice]:
    """Return what was last decided about each of the memory's voices, by their numbers; at most ``SHOWN``."""
    rows = SpeakerDecision.objects.filter(uid=uid, memory_id=memory_id).order_by("voice")[:SHOWN]
    return [_voice(row, names, palette) for row in sorted(rows, key=lambda row: (speaker_number(row.voice), row.voice))]


def _voice(row: SpeakerDecision, names: Names, palette: Mapping[str, int]) -> Voice:
    who = "the user" if row.is_user else names.of_person(row.person_id) if row.person_id else "unknown"
    best = names.of(row.best) if row.best else None
    told = sentence(
        Reason(row.reason),
        probability=row.probability,
        evidence_seconds=row.evidence_seconds,
        best=best,
        runner_up=names.of(row.runner_up) if row.runner_up else None,
        facts=row.facts,
    )
    return Voice(
        row.voice, palette.get(row.voice, 0), who, _numbers(row, best, names), told, row.manual,
        bool(row.is_user or row.person_id), row.created_at,
    )  # fmt: skip


def _numbers(row: SpeakerDecision, best: str | None, names: Names) -> str:
    """ "closest Anna 0.81 (97.3 %, needs 95.0 %), 0.12 before Ben 0.69 (needs 0.05); 12.4 s heard"."""
    if best is None:
        return f"nobody to compare with; {row.evidence_seconds:.1f} s heard"
    bar = row.facts.get("bar")
    score = f" {row.score:.2f}" if row.score is not None else ""
    needs = f", needs {bar:.1%}" if isinstance(bar, int | float) and bar else ""
    parts = [f"closest {best}{score} ({row.probability:.1%}{needs})"]
    if row.runner_up and row.margin is not None:
        after = f" {row.runner_up_score:.2f}" if row.runner_up_score is not None else ""
        parts.append(f"{row.margin:.2f} before {names.of(row.runner_up)}{after} (needs about {MARGIN:.2f})")
    return f"{', '.join(parts)}; {row.evidence_seconds:.1f} s heard"
