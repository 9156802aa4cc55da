"""Structuring without a language model: extractive and honest.

Title and overview are words of the talk itself, from its most central sentences; action items and events are found by
rule (English); the category is the nearest of the descriptions in ``category.py``. Nothing is invented, and nothing is
translated: the answer is in the language of the talk, whatever ``answer_language`` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from memories.shapes import Category, Structured
from memories.structuring import category as categories
from memories.structuring.actions import action_items
from memories.structuring.base import Embedder, StructureRequest, StructureResult
from memories.structuring.centrality import STOP_WORDS, Floats, central, choose, phrases, repeated, tfidf, unit
from memories.structuring.discard import why_discard
from memories.structuring.events import events
from memories.structuring.sentences import Sentence, sentences, words

MAX_EMBEDDED = 120
"""Sentences that are embedded (about 4 s of one core); of a longer talk, the most central by TF-IDF."""

MAX_SENTENCES = 4000  # of a day-long talk the rest is left out of the similarity graph (128 MB at this size)
OVERVIEW_SENTENCES = 4
OVERVIEW_CHARACTERS = 600
TITLE_PHRASES = 2
TITLE_SENTENCES = 8  # phrases are taken from this many of the most central sentences
TITLE_CANDIDATES = 48


class LocalStructurer:
    name = "local"
    model_name = "extractive"
    remote = False

    def __init__(self, embedder: Embedder | None = None) -> None:
        self._embedder = embedder
        self._described: Floats | None = None

    def structure(self, request: StructureRequest) -> StructureResult:
        talk = sentences(request.segments, names=request.names, user_name=request.user_name)
        anchor = local_time(request.started_at, request.time_zone)
        structured = Structured(action_items=action_items(talk), events=events(talk, anchor))
        reason = why_discard(request, structured)
        if reason:
            return StructureResult(Structured(), discarded=True, discard_reason=reason, method=self.model_name)
        if talk:
            self._describe(structured, talk)
        return StructureResult(structured, method=self.model_name)

    def _describe(self, structured: Structured, talk: Sequence[Sentence]) -> None:
        kept = _preselect(talk)
        vectors = self._embed([sentence.text for sentence in kept])
        weights = central(vectors)
        # Very short sentences ("I agree.") are like everything and say nothing.
        weights = weights * np.array([min(1.0, len(sentence.words) / 8) for sentence in kept])
        centre = unit((vectors * weights[:, None]).sum(0))
        best = choose(weights, vectors, OVERVIEW_SENTENCES)
        structured.overview = _overview([kept[index] for index in best])
        structured.title = self._title([kept[index] for index in np.argsort(-weights)[:TITLE_SENTENCES]], talk, centre)
        structured.category = self._category(vectors, weights, centre)
        structured.emoji = categories.EMOJI[structured.category]

    def _title(self, best: Sequence[Sentence], talk: Sequence[Sentence], centre: Floats) -> str:
        """Up to two key phrases of the central sentences (as KeyBERT does); of a short talk its own words."""
        found = list(dict.fromkeys(phrase for sentence in best for phrase in phrases(sentence.text)))[:TITLE_CANDIDATES]
        if not found or len(talk) < 3:
            return _capital(" ".join(best[0].text.rstrip(".!?,;").split()[:8]))
        vectors = self._embed(found)
        # Nearness to the whole, words that come back, and a little for saying more.
        texts = [sentence.text for sentence in talk]
        weights = vectors @ centre + np.array([0.05 * repeated(it, texts) + 0.02 * len(it.split()) for it in found])
        chosen: list[str] = []
        for index in np.argsort(-weights, kind="stable"):
            content = set(words(found[index])) - STOP_WORDS
            if len(chosen) < TITLE_PHRASES and not any(content & set(words(other)) for other in chosen):
                chosen.append(found[index])
        return _capital(", ".join(chosen))

    def _category(self, vectors: Floats, weights: Floats, centre: Floats) -> Category:
        if self._described is None:
            self._described = self._embed(list(categories.DESCRIPTIONS.values()))
        # Each sentence votes with its weight; the centre alone would hide a talk's second half.
        scores = (
            0.5 * (weights / max(float(weights.sum()), 1e-12)) @ (vectors @ self._described.T)
            + 0.5 * self._described @ centre
        )
        best = int(np.argmax(scores))
        return list(categories.DESCRIPTIONS)[best] if scores[best] >= categories.THRESHOLD else Category.OTHER

    def _embed(self, texts: Sequence[str]) -> Floats:
        if self._embedder is None:
            from memories.structuring.local_embedder import LocalEmbedder

            self._embedder = LocalEmbedder()
        return np.asarray(self._embedder.embed(texts), np.float64)


def local_time(moment: datetime, zone: str) -> datetime:
    """``moment`` on the user's clock; an unknown zone reads as UTC."""
    try:
        known = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = ZoneInfo("UTC")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(known)


def _preselect(talk: Sequence[Sentence]) -> list[Sentence]:
    talk = talk[:MAX_SENTENCES]
    if len(talk) <= MAX_EMBEDDED:
        return list(talk)
    vectors = tfidf([sentence.text for sentence in talk])
    weights = central(vectors) * np.array([min(1.0, len(sentence.words) / 8) for sentence in talk])
    return [talk[int(index)] for index in sorted(np.argsort(-weights, kind="stable")[:MAX_EMBEDDED])]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _overview(chosen: Sequence[Sentence]) -> str:
    lines: list[str] = []
    for sentence in chosen:
        text = _capital(sentence.text)
        if text[-1:] not in ".!?。！？…":
            text += "."
        line = f"{sentence.speaker}: {text}"
        if sum(map(len, lines)) + len(line) > OVERVIEW_CHARACTERS:
            line = line[: max(0, OVERVIEW_CHARACTERS - sum(map(len, lines)) - 1)].rsplit(" ", 1)[0] + "…"
            lines.append(line)
            break
        lines.append(line)
    return " ".join(lines)
