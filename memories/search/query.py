"""Searching a user's memories by meaning and by words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import structlog
from django.conf import settings

from memories.passages import indexing
from memories.pipeline.vendor_calls import records
from memories.repository import listing
from memories.search import snippets, word_index
from memories.shapes import Memory
from omi.core import providers, tuned
from omi.core.batches import batches
from omi.core.errors import ProviderError
from omi.stores.vectors import namespace

log = structlog.get_logger(__name__)

K = 2
"""Of reciprocal rank fusion: how fast a place loses weight. This and what follows was chosen on one half of the
questions of docs/search.md; the table there shows the other."""
SUMMARY, PASSAGE, WORDS = 1.0, 1.0, 3.0
"""Weights of the three lists: nearest summaries, nearest passages, most of the query's words. That of the words is
multiplied by their share: words decide where most are there, meaning where few are."""
NEAR = 0.25
"""Cosine from which a memory is a hit by meaning alone ..."""
HELD = 0.3
"""... and share of the query's words from which it is one by words alone ..."""
SOME_NEAR, SOME_HELD = 0.2, 0.2
"""... and what suffices of both together."""
SURE_NEAR, SURE_HELD = 0.35, 0.5
"""The same for an answer to a question, which says nothing rather than something else."""
AMONG, MOST_AMONG = 1000, 10_000
"""Memories of one person that one query of the vectors is asked among, and the newest that are looked at at all."""
NEAREST = 200
"""Vectors that one query asks for: summaries and passages together."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What limits a search: people's ids, times, category, leading emotion, language, labels."""

    include_discarded: bool = False
    category: str | None = None
    person_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    people: tuple[str, ...] = ()
    emotion: str | None = None
    language: str | None = None
    open_items: bool | None = None
    only_discarded: bool = False
    labels: tuple[str, ...] = ()
    """Ids of a folder and tags, all of which the memory bears."""

    @property
    def among(self) -> word_index.Among:
        """Return the filters that the word index knows."""
        return word_index.Among(
            self.start, self.end, self.category, self.person_id, self.include_discarded or self.only_discarded,
            self.people, self.emotion, self.language, self.open_items, self.only_discarded,
            self.labels,
        )  # fmt: skip

    def take(self, memory: Memory) -> bool:
        """Checked on the document itself, whatever an index says. (Who speaks in a memory that is listed without its
        segments only the index knows.)"""
        if memory.deleted or (memory.discarded and not (self.include_discarded or self.only_discarded)):
            return False
        if (self.only_discarded and not memory.discarded) or (self.language and memory.language != self.language):
            return False
        if self.open_items is not None:
            open_ones = any(not item.completed for item in memory.structured.action_items)
            if open_ones is not self.open_items:
                return False
        if (self.category and memory.structured.category != self.category) or not self._labelled(memory):
            return False
        listed = not getattr(memory, listing.OMITTED, False)
        asked = {*self.people, *([self.person_id] if self.person_id else [])}
        if asked and listed and not asked <= {item.person_id for item in memory.transcript_segments}:
            return False
        return not ((self.start and memory.created_at < self.start) or (self.end and memory.created_at > self.end))

    def _labelled(self, memory: Memory) -> bool:
        return set(self.labels) <= set(memory.edits.labels())


@dataclass(frozen=True, slots=True)
class Hit:
    """A memory that was found. ``semantic`` is a cosine, ``lexical`` 0..1; None where this way did not find it.
    ``score`` 0..1 orders them."""

    memory: Memory
    score: float
    semantic: float | None
    lexical: float | None
    matched: list[Literal["meaning", "words"]]
    place: snippets.Place | None

    @property
    def sure(self) -> bool:
        """Whether the memory is near enough to answer a question from."""
        return near_enough(self.semantic or 0.0, self.lexical or 0.0)

    @property
    def snippet(self) -> str | None:
        return self.place.text if self.place and self.place.text else None


@dataclass(slots=True)
class Near:
    """What the vectors say of one memory: cosines of its summary and of its nearest passage, and where that is."""

    summary: float | None = None
    passage: float | None = None
    moment: tuple[float, float] | None = None

    @property
    def best(self) -> float:
        return max((value for value in (self.summary, self.passage) if value is not None), default=-1.0)


@dataclass(frozen=True, slots=True)
class Found:
    """One memory of the ranking, before its document is read."""

    memory_id: str
    score: float
    near: Near | None
    lexical: float | None


def search(uid: str, query: str, limit: int = 10, filters: Filters | None = None) -> list[Hit]:
    """The best ``limit`` of this user's memories. Where the embedding service is down, words alone decide.

    Raises ProviderError where that service is down and no memory holds the words either.
    """
    chosen = filters or Filters()
    word_index.refresh_at_once(uid)
    # An index may be a moment behind its documents, so that some reads are vain; this bounds them.
    ranked = {found.memory_id: found for found in ranking(uid, query, limit, chosen)[: 4 * limit + 20]}
    hits: list[Hit] = []
    room = listing.Room(settings.OMI_ANSWER_BYTES)
    for keys in batches(ranked, limit):  # what is not shown is not read
        for _, memory in listing.get_bounded([(uid, memory_id) for memory_id in keys], room):
            if chosen.take(memory):
                hits.append(_hit(memory, ranked[memory.id], query))
            if len(hits) >= limit:
                return hits
        if room.full:
            break
    return hits


def ranking(uid: str, query: str, limit: int, chosen: Filters) -> list[Found]:
    """The memories that answer, best first, by reciprocal rank fusion."""
    by_words = {hit.memory_id: hit.score for hit in word_index.find(uid, query, chosen.among)}
    try:
        near = _by_meaning(uid, query, max(NEAREST, 5 * limit), chosen)
    except ProviderError as error:
        if not by_words:
            raise
        log.warning("search_by_words_only", uid=uid, vendor=error.vendor, code=error.code)
        near = {}
    return fused(near, by_words, float(tuned.value("search_words", WORDS, uid=uid)))


def fused(near: dict[str, Near], by_words: dict[str, float], words: float = WORDS, *, bars: bool = True) -> list[Found]:
    """One ranking of the three lists. What only the meaning found has to be near. ``words``: weight of theirs."""
    kept = [
        name for name in {**near, **by_words}
        if not bars or a_hit(near[name].best if name in near else -1.0, by_words.get(name, 0.0))
    ]  # fmt: skip
    lists: list[tuple[float, dict[str, float]]] = [
        (SUMMARY, {name: item.summary for name, item in near.items() if item.summary is not None}),
        (PASSAGE, {name: item.passage for name, item in near.items() if item.passage is not None}),
        (words, by_words),
    ]
    score: dict[str, float] = dict.fromkeys(kept, 0.0)
    for weight, values in lists:
        for place, name in enumerate(sorted(values, key=lambda key: (-values[key], key)), 1):
            share = values[name] if values is by_words else 1.0
            if name in score:
                score[name] += weight * share * (K + 1) / (K + place) / (SUMMARY + PASSAGE + words)
    found = [Found(name, round(score[name], 4), near.get(name), by_words.get(name)) for name in score]
    return sorted(found, key=lambda item: (-item.score, -(item.near.best if item.near else 0.0), item.memory_id))


def a_hit(cosine: float, held: float) -> bool:
    """Whether a memory of which this is known is shown at all."""
    return cosine >= NEAR or held >= HELD or (cosine >= SOME_NEAR and held >= SOME_HELD)


def near_enough(cosine: float, held: float) -> bool:
    """Whether a question may be answered from it."""
    return cosine >= SURE_NEAR or held >= SURE_HELD or (cosine >= NEAR and held >= HELD)


def _by_meaning(uid: str, query: str, count: int, filters: Filters) -> dict[str, Near]:
    vector = _embedded(uid, query)
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
    found: dict[str, Near] = {}
    for part in _conditions(uid, condition, filters):
        for match in providers.one("vectors").query(vector, namespace=namespace(), top_k=count, filter=part):
            told = match.metadata
            memory_id = str(told.get("memory_id") or match.id.removeprefix(f"{uid}-"))
            here, score = found.setdefault(memory_id, Near()), float(match.score)
            if told.get("kind") != indexing.KIND:
                here.summary = max(score, here.summary if here.summary is not None else -1.0)
            elif here.passage is None or score > here.passage:
                here.passage, here.moment = score, (_seconds(told.get("start")), _seconds(told.get("end")))
    return found


def _embedded(uid: str, query: str) -> list[float]:
    embedder = providers.one("embedder")
    with records.outside(uid, embedder.name, "embed_query", remote=embedder.remote) as call:
        call.input_tokens = len(query) // 4 + 1
        call.cost = embedder.price * call.input_tokens / 1e6
        [vector] = embedder.embed([query], query=True)
    return list(vector)


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _conditions(uid: str, condition: dict[str, Any], filters: Filters) -> Iterator[dict[str, Any]]:
    """Who speaks in a memory, and what else changes after its vector was written, is not in the vector: the rows know
    the memories, and the vectors are asked among these."""
    if not filters.among.by_rows:
        yield condition
        return
    among = replace(filters.among, include_discarded=not filters.only_discarded)
    for part in batches(word_index.ids(uid, among, MOST_AMONG), AMONG):
        yield {**condition, "memory_id": {"$in": part}}


def _hit(memory: Memory, found: Found, query: str) -> Hit:
    matched: list[Literal["meaning", "words"]] = []
    if found.near is not None and found.near.best >= NEAR:
        matched.append("meaning")
    if found.lexical is not None:
        matched.append("words")
    semantic = None if found.near is None else round(found.near.best, 4)
    words = None if found.lexical is None else round(found.lexical, 4)
    moment = found.near.moment if found.near is not None and (found.near.passage or 0.0) >= NEAR else None
    return Hit(memory, found.score, semantic, words, matched, snippets.place(memory, query, moment))
