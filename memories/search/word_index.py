"""Finding memories by their words, beside the search by meaning that misses names and acronyms.

The index holds keyed digests of the words, not the words: the documents stay the only place where a transcript lies.
A write of a memory marks its mirror row; a search first reads again what is marked, and a schedule reads the rest.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from typing import Any

import structlog
from django.core.cache import cache
from django.db.models import Exists, OuterRef, Q, QuerySet
from django_q.tasks import async_task

from memories.action_items import rows as action_items
from memories.mirror import rows as mirror
from memories.mirror.models import MemoryRow
from memories.passages import indexing, spelling
from memories.passages.models import IndexedEmotion, IndexedMemory, SpellingGram
from memories.repository import memories as repository
from memories.search import people_named, word_rows
from memories.search.models import SearchPerson, SearchTerms, SearchWord
from memories.search.words import terms, words

log = structlog.get_logger(__name__)

REFRESHED_AT_ONCE = 200
"""Documents that one search may read to bring the index up to date; newest first, the schedule does the rest."""
LONGEST_AT_ONCE, TEXT_AT_ONCE = 200_000, 4_000_000
"""Characters of one memory, and of all together, that one search may index: about a second. (A memory of a million
different words took 14 s of the web process.)"""
PAGE, PAGE_TEXT = 50, 4_000_000
"""Memories, and characters, that are in memory at a time."""
CANDIDATES, FEWEST = 400, 50
"""Memories that a query looks at, the newest of each word; each of many words still brings ``FEWEST``."""
COUNTED = 10_000
"""Memories among which a word's rarity is judged: counting all of 100,000 would be the larger part of a search."""
SPOKEN = 2
"""As often as a name counts as said in a memory in which its person speaks."""
MOST_WORDS = 24
"""Words of a query that are looked up; longer ones are somebody's text, not a search."""


@dataclass(frozen=True, slots=True)
class Among:
    """Which memories a search is about: all that is said of them here goes into the query, before anything is cut."""

    start: datetime | None = None
    end: datetime | None = None
    category: str | None = None
    person_id: str | None = None
    include_discarded: bool = True
    people: tuple[str, ...] = ()
    emotion: str | None = None
    language: str | None = None
    open_items: bool | None = None
    only_discarded: bool = False
    labels: tuple[str, ...] = ()

    def rows(self, uid: str) -> QuerySet[SearchTerms]:
        rows = SearchTerms.objects.filter(uid=uid)
        if self.start is not None:
            rows = rows.filter(created_at__gte=self.start)
        if self.end is not None:
            rows = rows.filter(created_at__lte=self.end)
        for person in dict.fromkeys([*([self.person_id] if self.person_id else []), *self.people]):
            rows = rows.filter(people__person_id=person)
        told: dict[str, Any] = {} if self.include_discarded else {"discarded": False}
        if self.only_discarded:
            told["discarded"] = True
        if self.category:
            told["category"] = self.category
        if self.language:
            told["language"] = self.language
        here = IndexedMemory.objects.filter(uid=uid, memory_id=OuterRef("memory_id"))
        if self.open_items is not None:
            with_open = Exists(here.filter(open_items__gt=0))
            rows = rows.filter(with_open if self.open_items else ~with_open)
        if self.emotion:
            felt = IndexedEmotion.objects.filter(emotion=self.emotion, entry__uid=uid)
            rows = rows.filter(memory_id__in=felt.values("entry__memory_id"))
        if self.labels:  # few memories, and their rows have an index: found once, not asked for each
            labelled = mirror.labelled(MemoryRow.objects.filter(uid=uid), self.labels)
            rows = rows.filter(memory_id__in=labelled.values("memory_id"))
        if told:
            listed = MemoryRow.objects.filter(uid=uid, memory_id=OuterRef("memory_id"), **told)
            rows = rows.filter(Exists(listed))
        return rows

    @property
    def narrow(self) -> bool:
        """Whether more than the time is asked for, which the words' own rows know."""
        return bool(not self.include_discarded or self.category or self.by_rows)

    @property
    def by_rows(self) -> bool:
        """Whether something is asked for that only the rows know, and no vector's metadata."""
        told = self.person_id or self.people or self.emotion or self.language or self.only_discarded or self.labels
        return bool(told) or self.open_items is not None


EVERYTHING = Among()


@dataclass(frozen=True, slots=True)
class WordHit:
    """A memory that was found by its words. ``score`` 0..1: how much of the query's weight the memory's words carry."""

    memory_id: str
    score: float


def refresh_at_once(uid: str) -> int:
    """Read what is stale as ``refresh``, as far as it is quickly done: for a search. What is long, or too much, a
    worker reads, soon."""
    stale = MemoryRow.objects.filter(uid=uid, words_stale=True)
    sizes = list(stale.order_by("-created_at").values_list("text_size", flat=True)[: REFRESHED_AT_ONCE + 1])
    if sizes and (len(sizes) > REFRESHED_AT_ONCE or max(sizes) > LONGEST_AT_ONCE or sum(sizes) > TEXT_AT_ONCE):
        _have_a_worker_read(uid)
    return refresh(uid, longest=LONGEST_AT_ONCE, text=TEXT_AT_ONCE)


def _have_a_worker_read(uid: str) -> None:
    """Once a minute at most, however often somebody searches."""
    with contextlib.suppress(Exception):  # a cache or a queue that is away: the schedule comes by anyhow
        if cache.add(f"index-words-{uid}", 1, 60):
            async_task("memories.upkeep.index_words_of", uid)


def refresh(uid: str, limit: int = REFRESHED_AT_ONCE, *, longest: int | None = None, text: int | None = None) -> int:
    """Read again what changed since it was indexed, and drop what is gone. The number of documents read.

    ``longest`` and ``text``: characters of one memory and of all together beyond which they are left marked.
    """
    _drop_other_schemes(uid)
    stale = MemoryRow.objects.filter(uid=uid, words_stale=True).order_by("-created_at")
    if longest is not None:
        stale = stale.filter(text_size__lte=longest)
    marked = list(stale.values_list("memory_id", "revision", "text_size")[:limit])
    read = 0
    for part in _pages(marked, text):
        memories = repository.get_memories(uid, list(part))  # leaves out what is deleted or broken, and says so
        word_rows.index(uid, list(memories.values()))
        for memory_id in part.keys() - memories.keys():
            forget_memory(uid, memory_id)
            # Only if nobody wrote a newer revision meanwhile: that one is still to be read.
            gone = MemoryRow.objects.filter(uid=uid, memory_id=memory_id, revision__lte=part[memory_id])
            gone.update(words_stale=False)
        read += len(part)
    return read


def _pages(marked: Sequence[tuple[str, int, int]], text: int | None) -> Iterator[dict[str, int]]:
    """Revisions by id, so many at a time that they are not long together; no more than ``text`` characters in all."""
    page: dict[str, int] = {}
    size = total = 0
    for memory_id, revision, length in marked:
        total += length
        if text is not None and total > text:
            break
        if page and (len(page) >= PAGE or size + length > PAGE_TEXT):
            yield page
            page, size = {}, 0
        page[memory_id] = revision
        size += length
    if page:
        yield page


def ids(uid: str, among: Among, most: int) -> list[str]:
    """Ids of these memories, newest first."""
    return list(among.rows(uid).order_by("-created_at").values_list("memory_id", flat=True)[:most])


def find(uid: str, query: str, among: Among = EVERYTHING) -> list[WordHit]:
    """Return the memories that hold words of the query, best first; reads a bounded number of index entries for each
    word."""
    asked = word_rows.digests(uid, terms(query)[:MOST_WORDS])
    wanted = list(asked.values())
    start, end = among.start, among.end
    # Rarity is judged among all of these.
    rows = Among(start, end, person_id=among.person_id, people=among.people).rows(uid)
    total = rows[:COUNTED].count() if wanted else 0
    if not total:
        return []
    newest = max(FEWEST, CANDIDATES // len(wanted))
    counts: dict[int, dict[int, int]] = {}  # entry, word
    weights: dict[int, float] = {}
    frequent = []
    called = {asked[word]: people for word, people in people_named.named(uid, list(asked)).items()}
    wanted, less = _as_spelled(uid, asked, set(called))
    for word in wanted:
        held = SearchWord.objects.filter(word=word)
        if start is not None:
            held = held.filter(at__gte=word_rows.seconds(start))
        if end is not None:
            held = held.filter(at__lte=word_rows.seconds(end))
        if among.narrow:
            # Looked up for each row as the newest are read: how many others there are does not matter.
            held = held.filter(Exists(among.rows(uid).filter(pk=OuterRef("entry_id"))))
        found = list(held.order_by("-at").values_list("entry_id", "count", "at")[:newest])
        for entry, count, _ in found:
            counts.setdefault(entry, {})[word] = count
        speaking = _speaking(uid, among, called[word], newest) if word in called else []
        for entry in speaking:
            counts.setdefault(entry, {})[word] = counts.get(entry, {}).get(word, 0) + SPOKEN
        documents = float(max(len(found), len(speaking)))
        if len(found) == newest:
            frequent.append(word)
            # As often as in the stretch of time that the newest of them fill.
            stretch = rows.filter(created_at__gte=datetime.fromtimestamp(found[-1][2], UTC))[:COUNTED].count()
            documents = total * min(1.0, len(found) / max(1, stretch))
        weights[word] = math.log(1 + max(0.0, total - documents + 0.5) / (documents + 0.5)) * less.get(word, 1.0)
    if frequent and len(wanted) > 1:  # those that another word brought may hold a frequent one, too
        for entry, word, count in SearchWord.objects.filter(entry__in=list(counts), word__in=frequent).values_list(
            "entry_id", "word", "count"
        ):
            counts[entry][word] = count
    names = dict(rows.filter(pk__in=list(counts)).values_list("pk", "memory_id"))
    whole = sum(weights.values()) or 1.0
    # Saturating term frequency, as in BM25: the second mention says less than the first.
    hits = [
        WordHit(name, sum(weights[word] * count / (count + 0.5) for word, count in counts[entry].items()) / whole)
        for entry, name in names.items()
    ]
    return sorted((hit for hit in hits if hit.score > 0), key=lambda hit: (-hit.score, hit.memory_id))


def holding(uid: str, text: str, *, after: tuple[datetime, str] | None, most: int) -> list[tuple[datetime, str]]:
    """The memories that hold every word of ``text``, newest first, with when they were created; behind ``after``. Those
    that changed since the last ``refresh`` are among them: they may."""
    wanted = list(word_rows.digests(uid, list(dict.fromkeys(words(text)))[:MOST_WORDS]).values())
    if not wanted:
        return []
    rows = SearchTerms.objects.filter(uid=uid)
    for word in wanted:
        rows = rows.filter(Exists(SearchWord.objects.filter(entry=OuterRef("pk"), word=word)))
    unread = MemoryRow.objects.filter(uid=uid, deleted=False, words_stale=True)
    behind = Q()
    if after is not None:
        at, memory_id = after
        behind = Q(created_at__lt=at) | Q(created_at=at, memory_id__gt=memory_id)
    found = {
        place
        for some in (rows, unread)
        for place in some.filter(behind)
        .order_by("-created_at", "memory_id")
        .values_list("created_at", "memory_id")[:most]
    }
    return sorted(sorted(found, key=itemgetter(1)), key=itemgetter(0), reverse=True)[:most]


def _speaking(uid: str, among: Among, people: list[str], newest: int) -> list[int]:
    """The newest of these memories in which one of these people speaks."""
    spoken = among.rows(uid).filter(Exists(SearchPerson.objects.filter(entry=OuterRef("pk"), person_id__in=people)))
    return list(spoken.order_by("-created_at").values_list("pk", flat=True)[:newest])


def _as_spelled(uid: str, asked: dict[str, int], names: set[int]) -> tuple[list[int], dict[int, float]]:
    """The words to look up, and how much less those count that only look like what was asked: a word that this user
    never said stands for those that are spelled nearly so."""
    known = set(
        SearchWord.objects.filter(word__in=list(asked.values())).order_by().values_list("word", flat=True).distinct()
    )
    wanted: list[int] = []
    less: dict[int, float] = {}
    for text, word in asked.items():
        unheard = word not in known and word not in names
        alike = spelling.similar(text, partial(word_rows.digests, uid)) if unheard else {}
        wanted += [item for item in alike or [word] if item not in wanted]
        less |= {item: rate for item, rate in alike.items() if item not in asked.values()}
    return wanted, less


def forget_memory(uid: str, memory_id: str) -> int:
    """Drop a memory from the index, with the spelling of words that no other holds, piece by piece."""
    gone = word_rows.drop(SearchTerms.objects.filter(uid=uid, memory_id=memory_id))
    indexing.forget_memory(uid, memory_id)
    action_items.forget_memory(uid, memory_id)
    return gone


def forget_user(uid: str) -> int:
    """Drop all memories of a user from the index, piece by piece; returns how many entries went."""
    gone = word_rows.drop(SearchTerms.objects.filter(uid=uid), spelled=False)
    left = True
    while left:
        with word_rows.in_turn():
            left = bool(spelling.forget_some(uid, word_rows.PIECE * 8))
    indexing.forget_user(uid)
    action_items.forget_user(uid)
    return gone


def remaining(uid: str) -> int:
    """Rows of this user that the index still holds."""
    spelled = SpellingGram.objects.filter(uid=uid).count()
    words = SearchTerms.objects.filter(uid=uid).count() + SearchWord.objects.filter(entry__uid=uid).count()
    return words + spelled + indexing.remaining(uid) + action_items.remaining(uid)


def current(entry: SearchTerms | None, revision: int) -> bool:
    """Whether the entry is that of this revision, cut and keyed as today."""
    return entry is not None and (entry.revision, entry.scheme) == (revision, word_rows.scheme())


def _drop_other_schemes(uid: str) -> None:
    """Words indexed under another secret key find nothing any more: all of them are read again."""
    scheme, rows = word_rows.scheme(), SearchTerms.objects.filter(uid=uid)
    # Two look-ups in the index; "not equal" would read it all.
    for others in (rows.filter(scheme__lt=scheme), rows.filter(scheme__gt=scheme)):
        if others.exists():
            MemoryRow.objects.filter(uid=uid, memory_id__in=others.values("memory_id")).update(words_stale=True)
            word_rows.drop(others)
