"""Structuring without a language model: extractive and honest.

Title and overview are words of the talk itself, from its most central sentences; action items and events are found by
rule (English, German, Spanish, French); the category is the nearest of the descriptions in ``category.py``. Nothing is
invented, and nothing is translated: the answer is in the language of the talk, whatever ``answer_language`` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from memories.language_detection import written_in
from memories.shapes import Category, Structured
from memories.structuring import category as categories
from memories.structuring import filling
from memories.structuring.actions import action_items
from memories.structuring.base import Embedder, FillResult, StructureRequest, StructureResult, Wanted
from memories.structuring.centrality import Floats, central, choose, telling, unit
from memories.structuring.discard import why_discard
from memories.structuring.events import events
from memories.structuring.local_embedder import LocalEmbedder
from memories.structuring.overview import TOLD, bonus, overview
from memories.structuring.sentences import Sentence, sentences
from memories.structuring.titles import title
from memories.structuring.tongues.base import Tongue
from memories.structuring.tongues.known import tongue_of

MAX_EMBEDDED = 120
"""Sentences that are embedded (about 4 s of one core); of a longer talk, the ones that hold most of its words."""
WORTH_TELLING = 0.3
"""Of the best sentence's fitness: a weaker one is left out of the overview."""
LEAD = 1.3
"""Weight of the first sentence, falling to ``2 - LEAD`` at the last: what a talk is about is said early."""
GUESSED_BY = 2000
"""Words by which the written language is guessed."""


class LocalStructurer:
    """Makes the summary on this machine out of the sentences that were said, without a language model."""

    name = "local"
    model_name = "extractive"
    remote = False

    def __init__(self, embedder: Embedder | None = None) -> None:
        self._embedder = embedder
        self._described: Floats | None = None

    def structure(self, request: StructureRequest) -> StructureResult:
        talk = sentences(request.segments, names=request.names, user_name=request.user_name)
        anchor = local_time(request.started_at, request.time_zone)
        tongue = tongue_of(request.language, written_in(_first_words(talk)))
        structured = Structured(action_items=action_items(talk, anchor, tongue), events=events(talk, anchor, tongue))
        reason = why_discard(request, structured)
        if reason:
            return StructureResult(Structured(), discarded=True, discard_reason=reason, method=self.model_name)
        if talk:
            self._describe(structured, talk, tongue)
        return StructureResult(structured, method=self.model_name)

    def fill(self, request: StructureRequest, wanted: Sequence[Wanted], made: Structured) -> FillResult:
        talk = sentences(request.segments, names=request.names, user_name=request.user_name)
        tongue = tongue_of(request.language, written_in(_first_words(talk)))
        told = filling.fill(_preselect(talk), wanted, made, self._embed, lambda it: bonus(it, tongue))
        return FillResult(told, self.model_name)

    def _describe(self, structured: Structured, talk: Sequence[Sentence], tongue: Tongue) -> None:
        kept = _preselect(talk)
        vectors = self._embed([sentence.text for sentence in kept])
        weights = central(vectors)
        # Very short sentences ("I agree.") are like everything and say nothing.
        weights = weights * np.array([min(1.0, len(sentence.words) / 8) for sentence in kept])
        centre = unit((vectors * weights[:, None]).sum(0))
        dated = {event.description for event in structured.events}
        said = [f"{sentence.speaker}: {sentence.text}" for sentence in kept]
        # The root: sentences of a common form ("I will ...") are like each other without saying the same.
        fit = np.sqrt(weights) * np.array(
            [
                bonus(it, tongue, dated=any(at.startswith(line) for at in dated))
                for it, line in zip(kept, said, strict=True)
            ]
        )
        fit = fit * np.linspace(LEAD, 2 - LEAD, len(kept))
        order = np.argsort(-(weights / max(weights.max(), 1e-12) + fit / max(fit.max(), 1e-12)), kind="stable")
        fit = np.where(fit >= WORTH_TELLING * fit.max(), fit, 0.0)
        best = choose(fit if fit.any() else weights, vectors, min(TOLD, int((fit > 0).sum()) or TOLD))
        structured.overview = overview([kept[index] for index in best], structured.action_items, tongue)
        structured.title = title([kept[index] for index in order], talk, centre, self._embed, tongue)
        structured.category = self._category(vectors, weights, centre, kept)
        structured.emoji = categories.EMOJI[structured.category]

    def _category(self, vectors: Floats, weights: Floats, centre: Floats, kept: Sequence[Sentence]) -> Category:
        if self._described is None:
            self._described = self._embed(list(categories.DESCRIPTIONS.values()))
        # Each sentence votes with its weight; the centre alone would hide a talk's second half.
        scores = (
            0.5 * (weights / max(float(weights.sum()), 1e-12)) @ (vectors @ self._described.T)
            + 0.5 * self._described @ centre
        )
        added = categories.hints(word for sentence in kept for word in sentence.words)
        scores = scores + np.array([added.get(category, 0.0) for category in categories.DESCRIPTIONS])
        best = int(np.argmax(scores))
        return list(categories.DESCRIPTIONS)[best] if scores[best] >= categories.THRESHOLD else Category.OTHER

    def _embed(self, texts: Sequence[str]) -> Floats:
        if self._embedder is None:
            self._embedder = LocalEmbedder()
        return np.asarray(self._embedder.embed(texts), np.float64)


def local_time(moment: datetime, zone: str) -> datetime:
    """Return ``moment`` on the user's clock; an unknown zone reads as UTC."""
    try:
        known = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = ZoneInfo("UTC")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(known)


def _first_words(talk: Sequence[Sentence]) -> list[str]:
    found: list[str] = []
    for sentence in talk:
        found += sentence.words
        if len(found) >= GUESSED_BY:
            break
    return found


def _preselect(talk: Sequence[Sentence]) -> list[Sentence]:
    if len(talk) <= MAX_EMBEDDED:
        return list(talk)
    weights = telling([sentence.text for sentence in talk]) * np.array([min(1.0, len(it.words) / 8) for it in talk])
    return [talk[int(index)] for index in sorted(np.argsort(-weights, kind="stable")[:MAX_EMBEDDED])]
