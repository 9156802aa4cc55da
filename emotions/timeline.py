"""Putting measurements and speech together: whose voice a span is, and what a person's speech amounts to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from emotions.base import EmotionSpan, EmotionTimeline
from transcription.segments import Segment

OWN_SHARE = 0.8
"""Share of the speech under a span that must be one voice's before the span is that voice's."""


@dataclass(frozen=True, slots=True)
class EmotionMean:
    """How strong one emotion was. ``mean``: probability averaged over ``seconds`` of the person's speech (absent counts
    as 0); ``spans`` in which it was found; ``peak`` the highest."""

    name: str
    mean: float
    peak: float
    spans: int
    seconds: float


def attribute(spans: Iterable[EmotionSpan], segments: Sequence[Segment]) -> list[EmotionSpan]:
    """Spans sorted by time, each with the speaker under it. Speech of several voices stays nobody's."""
    ordered = sorted(segments, key=lambda segment: segment.start)
    owned = []
    for span in sorted(spans, key=lambda item: (item.start, item.end)):
        by_label: dict[str, float] = {}
        own = 0.0
        for segment in ordered:
            if segment.start >= span.end:
                break
            shared = min(segment.end, span.end) - max(segment.start, span.start)
            if shared > 0:
                by_label[segment.speaker] = by_label.get(segment.speaker, 0.0) + shared
                own += shared if segment.is_user else 0.0
        total = sum(by_label.values())
        label, most = max(by_label.items(), key=lambda item: item[1], default=("", 0.0))
        owned.append(
            span.model_copy(
                update={
                    "speaker": label if total and most >= OWN_SHARE * total else None,
                    "is_user": total > 0 and own >= OWN_SHARE * total,
                }
            )
        )
    return owned


def of_user(timeline: EmotionTimeline) -> list[EmotionMean]:
    """The user's emotions, strongest first. Overlapping windows count their time once."""
    return means([span for span in timeline.spans if span.is_user])


def means(spans: Sequence[EmotionSpan]) -> list[EmotionMean]:
    """Time-weighted means. Never a sum: a long talk is not a stronger feeling."""
    edges = sorted({edge for span in spans for edge in (span.start, span.end)})
    starts = sorted(spans, key=lambda span: span.start)
    active: list[EmotionSpan] = []
    weighted: dict[str, float] = {}
    seconds, waiting = 0.0, 0
    for begin, end in pairwise(edges):
        while waiting < len(starts) and starts[waiting].start <= begin:
            active.append(starts[waiting])
            waiting += 1
        active = [span for span in active if span.end > begin]
        if not active:
            continue
        length = end - begin
        seconds += length
        for span in active:
            for score in span.emotions:
                weighted[score.name] = weighted.get(score.name, 0.0) + score.score * length / len(active)
    found = []
    for name, total in weighted.items():
        scores = [score.score for span in spans for score in span.emotions if score.name == name]
        found.append(EmotionMean(name, total / seconds, max(scores), len(scores), seconds))
    return sorted(found, key=lambda item: (-item.mean, item.name))
