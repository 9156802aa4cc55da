"""Searching a user's memories by meaning and by words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import structlog
from django.conf import settings

from memories.pipeline.vendor_calls import records
from memories.repository import listing
from memories.search import word_index
from memories.shapes import Memory
from omi.core import providers, tuned
from omi.core.batches import batches
from omi.core.errors import ProviderError
from omi.stores.vectors import namespace

log = structlog.get_logger(__name__)

MEANING = 0.6
"""Weight of the score by meaning; that of the score by words is the rest.
Meaning leads; a rare name that only the words find still comes to the top."""
NEAR = 0.15
"""Cosine below which a memory that shares no word with the query is not a hit (measured: tests/search)."""
AMONG, MOST_AMONG = 1000, 10_000
"""Memories of one person that one query of the vectors is asked among, and the newest that are looked at at all."""
CLOSE = 0.65
"""Cosine that counts as full marks: a paraphrase of the stored text."""


@dataclass(frozen=True, slots=True)
class Filters:
    include_discarded: bool = False
    category: str | None = None
    person_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def take(self, memory: Memory) -> bool:
        """Checked on the document itself, whatever an index says. (Who speaks in a memory that is listed without its
        segments only the index knows.)"""
        if memory.deleted or (memory.discarded and not self.include_discarded):
            return False
        if self.category and memory.structured.category != self.category:
            return False
        listed = not getattr(memory, listing.OMITTED, False)
        if self.person_id and listed and all(x.person_id != self.person_id for x in memory.transcript_segments):
            return False
        return not ((self.start and memory.created_at < self.start) or (self.end and memory.created_at > self.end))


@dataclass(frozen=True, slots=True)
class Hit:
    """``semantic`` is a cosine, ``lexical`` 0..1; None where this way did not find it. ``score`` 0..1."""

    memory: Memory
    score: float
    semantic: float | None
    lexical: float | None
    matched: list[Literal["meaning", "words"]]
    snippet: str | None


def search(uid: str, query: str, limit: int = 10, filters: Filters | None = None) -> list[Hit]:
    """The best ``limit`` of this user's memories. Where the embedding service is down, words alone decide.

    Raises ProviderError where that service is down and no memory holds the words either.
    """
    chosen = filters or Filters()
    word_index.refresh_at_once(uid)
    among = word_index.Among(chosen.start, chosen.end, chosen.category, chosen.person_id, chosen.include_discarded)
    by_words = {hit.memory_id: hit.score for hit in word_index.find(uid, query, among)}
    try:
        by_meaning = _by_meaning(uid, query, max(50, 5 * limit), chosen)
    except ProviderError as error:
        if not by_words:
            raise
        log.warning("search_by_words_only", uid=uid, vendor=error.vendor, code=error.code)
        by_meaning = {}
    near = {memory_id: cosine for memory_id, cosine in by_meaning.items() if cosine >= NEAR or memory_id in by_words}
    meaning = float(tuned.value("search_meaning", MEANING, uid=uid))
    scores = {
        memory_id: _score(meaning, near.get(memory_id), by_words.get(memory_id))
        for memory_id in near.keys() | by_words.keys()
    }
    # An index may be a moment behind its documents, so that some reads are vain; this bounds them.
    ranked = sorted(scores, key=lambda key: (-scores[key], key))[: 4 * limit + 20]
    hits: list[Hit] = []
    room = listing.Room(settings.OMI_ANSWER_BYTES)
    for _, memory in listing.get_bounded([(uid, memory_id) for memory_id in ranked], room):
        if chosen.take(memory):
            hits.append(_hit(memory, scores[memory.id], near.get(memory.id), by_words.get(memory.id), query))
        if len(hits) >= limit:
            break
    return hits


def _by_meaning(uid: str, query: str, count: int, filters: Filters) -> dict[str, float]:
    embedder = providers.one("embedder")
    with records.outside(uid, embedder.name, "embed_query", remote=embedder.remote) as call:
        call.input_tokens = len(query) // 4 + 1
        call.cost = embedder.price * call.input_tokens / 1e6
        [vector] = embedder.embed([query], query=True)
    if not any(vector):
        return {}
    condition: dict[str, Any] = {"uid": uid}
    between: dict[str, float] = {}
    if filters.start is not None:
        between["$gte"] = filters.start.timestamp()
    if filters.end is not None:
        between["$lte"] = filters.end.timestamp()
    if between:
        condition["created_at"] = between
    if filters.category:
        condition["category"] = filters.category
    found: dict[str, float] = {}
    for part in _conditions(uid, condition, filters):
        for match in providers.one("vectors").query(vector, namespace=namespace(), top_k=count, filter=part):
            memory_id = str(match.metadata.get("memory_id") or match.id.removeprefix(f"{uid}-"))
            found[memory_id] = max(found.get(memory_id, -1.0), float(match.score))
    return found


def _conditions(uid: str, condition: dict[str, Any], filters: Filters) -> Iterator[dict[str, Any]]:
    """Who speaks in a memory is not in its vector, because people are named after it was written: the word index knows
    the memories, and the vectors are asked among these."""
    if not filters.person_id:
        yield condition
        return
    among = word_index.Among(filters.start, filters.end, filters.category, filters.person_id, True)
    for part in batches(word_index.ids(uid, among, MOST_AMONG), AMONG):
        yield {**condition, "memory_id": {"$in": part}}


def _score(meaning: float, semantic: float | None, lexical: float | None) -> float:
    """``meaning``: its weight; that of the words is the rest."""
    near = min(1.0, max(0.0, semantic or 0.0) / CLOSE)
    return round(meaning * near + (1 - meaning) * (lexical or 0.0), 4)


def _hit(memory: Memory, score: float, semantic: float | None, lexical: float | None, query: str) -> Hit:
    matched: list[Literal["meaning", "words"]] = []
    if semantic is not None and semantic >= NEAR:
        matched.append("meaning")
    if lexical is not None:
        matched.append("words")
    rounded = None if semantic is None else round(semantic, 4)
    words = None if lexical is None else round(lexical, 4)
    return Hit(memory, score, rounded, words, matched, word_index.passage(memory, query))
