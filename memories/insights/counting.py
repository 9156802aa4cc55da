"""Counting one memory's voices: time, turns, interruptions, questions, words, and which emotion led. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from emotions.base import EmotionTimeline
from memories.pipeline.rules.tokens import tokens_in
from transcription.segments import Segment

OVERLAP = 0.3
"""Seconds that somebody goes on speaking after another began, from which it is an interruption."""
FIRST_WORDS = 1000
"""Words among which the different ones are counted: their share falls with the length of a text."""
MOST_VOICES, MOST_EMOTIONS = 20, 10
LOOKED_AT = 20_000
"""Segments: a day of talk has about 14,000."""


@dataclass(slots=True)
class Counted:
    """Figures of one voice in one memory."""

    seconds: float = 0.0
    words: int = 0
    turns: int = 0
    interruptions: int = 0
    questions: int = 0
    first: list[str] = field(default_factory=list)
    emotions: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def voice_of(segment: Segment) -> str | None:
    """ "" for the user, the id of a named person, None for everybody else: of them nothing is counted."""
    return "" if segment.is_user else segment.person_id


def count(segments: Sequence[Segment], timeline: EmotionTimeline | None) -> dict[str, Counted]:
    """Return the figures of each voice of a memory, of those who spoke longest."""
    found: dict[str, Counted] = defaultdict(Counted)
    before: Segment | None = None
    for segment in segments[:LOOKED_AT]:
        voice = voice_of(segment)
        if voice is not None:
            mine = found[voice]
            said = tokens_in(segment.text)
            mine.seconds += max(0.0, segment.end - segment.start)
            mine.words += len(said)
            mine.first += said[: FIRST_WORDS - len(mine.first)]
            mine.questions += segment.text.count("?") + segment.text.count("？")
            other = before is not None and before.speaker != segment.speaker
            mine.turns += before is None or other
            if before is not None and other:
                mine.interruptions += before.start < segment.start <= before.end - OVERLAP
        before = segment
    for start, end, emotion in _led(timeline):
        middle = (start + end) / 2
        spoken = next((item for item in segments[:LOOKED_AT] if item.start <= middle <= item.end), None)
        voice = voice_of(spoken) if spoken is not None else None
        if voice is not None:
            found[voice].emotions[emotion] += end - start
    longest = sorted(found.items(), key=lambda item: (-item[1].seconds, item[0]))[:MOST_VOICES]
    return dict(longest)


def _led(timeline: EmotionTimeline | None) -> list[tuple[float, float, str]]:
    return [
        (span.start, span.end, span.leading.lower()[:64])
        for span in (timeline.spans[:LOOKED_AT] if timeline is not None else [])
        if span.emotions and span.end > span.start
    ]
