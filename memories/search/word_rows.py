"""Writing the word index: a bounded number of rows in a transaction, whatever one memory holds.

The rows hold keyed digests of the words, not the words (``memories.search.word_index``, which reads them).
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from memories.action_items import rows as action_items
from memories.action_items.models import ActionItemRow
from memories.mirror.models import MemoryRow
from memories.passages import indexing, spelling
from memories.passages.models import IndexedMemory
from memories.search.models import SearchPerson, SearchTerms, SearchWord
from memories.search.words import words
from memories.shapes import Memory
from omi.core.batches import batches
from transcription.segments import plain_text

MOST_DISTINCT = 50_000
"""Different words of one memory that are indexed, the most frequent ones; a day of talk has some 10,000."""
PIECE = 480
"""Words of one transaction; some seven rows each with their spelling."""
SHORT, LONGEST_PAUSE = 0.02, 0.2
"""Seconds: a transaction after which nobody needs a pause, and the longest one."""
ROWS = 240
"""Per statement: four values each, below SQLite's old limit of 999."""
LONGEST_ID = 128


def index(uid: str, memories: Sequence[Memory]) -> None:
    """Put these memories into the index as they are given, a bounded number of rows in a transaction: 50,000 words in
    one kept every other writer of SQLite waiting for two minutes.

    In each transaction the memory's mirror row is locked: one that was deleted, or that is newer in its row, is left
    alone, and whoever deletes it now waits, and then finds here what is to be erased.
    """
    for memory in memories:
        _index(uid, memory)


def _index(uid: str, memory: Memory) -> None:
    counts, at = _words_of(memory), seconds(memory.created_at)
    numbers = digests(uid, counts)
    texts = {number: word for word, number in numbers.items()}
    wanted = {numbers[word]: (min(count, 2**31 - 1), at) for word, count in counts.items()}
    marked, items = indexing.row_of(uid, memory), action_items.of_memory(uid, memory)
    with transaction.atomic():
        entry = _claimed(uid, memory)
    if entry is None:
        return
    rows = SearchWord.objects.filter(entry=entry)
    held = {word: (count, moment) for word, count, moment in rows.values_list("word", "count", "at")}
    changed = [word for word in sorted(wanted) if held.get(word) != wanted[word]]
    pieces = [*batches([*changed, *sorted(held.keys() - wanted.keys())], PIECE)] or [[]]
    for number, piece in enumerate(pieces, 1):
        with in_turn():
            if not _still(uid, memory, entry):
                return
            gone = [word for word in piece if word not in wanted]
            rows.filter(word__in=gone).delete()
            _forget_words(uid, set(gone))
            _insert([(entry.pk, word, *wanted[word]) for word in piece if word in wanted])
            new = {texts[word]: word for word in piece if word in wanted and word not in held}
            spelling.learn(uid, new, partial(digests, uid))
            if number == len(pieces):
                _complete(uid, memory, entry, marked, items)


def _claimed(uid: str, memory: Memory) -> SearchTerms | None:
    """The memory's entry, which this revision is being written to from now on; None where it is deleted or newer.

    Until it is complete the entry bears the negative revision: nobody takes it for whole, and whoever writes an older
    one finds that it is no longer theirs.
    """
    if not _alive(uid, memory):
        return None
    told = {"revision": -memory.revision, "scheme": scheme(), "created_at": memory.created_at}
    return SearchTerms.objects.update_or_create(uid=uid, memory_id=memory.id, defaults=told)[0]


def _alive(uid: str, memory: Memory) -> bool:
    rows = MemoryRow.objects.select_for_update().filter(uid=uid, memory_id=memory.id, deleted=False)
    revision = rows.values_list("revision", flat=True).first()
    return revision is not None and revision <= memory.revision


def _still(uid: str, memory: Memory, entry: SearchTerms) -> bool:
    return _alive(uid, memory) and SearchTerms.objects.filter(pk=entry.pk, revision=-memory.revision).exists()


def _complete(uid: str, memory: Memory, entry: SearchTerms, marked: IndexedMemory, items: list[ActionItemRow]) -> None:
    people = sorted({item.person_id for item in memory.transcript_segments if item.person_id})
    SearchPerson.objects.filter(entry=entry).delete()
    SearchPerson.objects.bulk_create(
        [SearchPerson(entry=entry, person_id=person) for person in people if len(person) <= LONGEST_ID]
    )
    indexing.mark(marked)
    action_items.keep(uid, memory.id, items)
    SearchTerms.objects.filter(pk=entry.pk).update(revision=memory.revision)
    MemoryRow.objects.filter(uid=uid, memory_id=memory.id).update(words_stale=False)


@contextlib.contextmanager
def in_turn() -> Iterator[None]:
    """A transaction of one piece, and afterwards a pause of its length: who waits for SQLite's lock only looks now and
    then whether it is free."""
    began = time.monotonic()
    with transaction.atomic():
        yield
    took = time.monotonic() - began
    if took > SHORT and not connection.in_atomic_block:
        time.sleep(min(took, LONGEST_PAUSE))


def _insert(words: list[tuple[int, int, int, int]]) -> None:
    """Write the words' rows as text: some ninety a memory, for which bulk_create takes five times as long."""
    with connection.cursor() as cursor:
        for part in batches(words, ROWS):
            places = ", ".join(["(%s, %s, %s, %s)"] * len(part))
            statement = (
                f"INSERT INTO memories_searchword (entry_id, word, count, at) VALUES {places} "  # noqa: S608
                "ON CONFLICT (entry_id, word) DO UPDATE SET count = excluded.count, at = excluded.at"
            )
            cursor.execute(statement, [value for row in part for value in row])


def drop(entries: QuerySet[SearchTerms], *, spelled: bool = True) -> int:
    """Delete entries, one after the other; how many. ``spelled``: with the spelling of words that no other holds."""
    gone = 0
    while (entry := entries.order_by("pk").first()) is not None:
        words = SearchWord.objects.filter(entry=entry)
        while True:
            with in_turn():
                # Whoever is writing this entry stops: it is of no revision any more.
                if not SearchTerms.objects.filter(pk=entry.pk).update(revision=0):
                    break
                part = list(words.order_by("word").values_list("word", flat=True)[:PIECE])
                words.filter(word__in=part).delete()
                if spelled:
                    _forget_words(entry.uid, set(part))
                if len(part) < PIECE:
                    gone += int(bool(SearchTerms.objects.filter(pk=entry.pk).delete()[0]))
                    break
    return gone


def _forget_words(uid: str, words: set[int]) -> None:
    """Words left these memories: those that no other has are not remembered as spelled, either."""
    for part in batches(sorted(words), ROWS):
        others = set(SearchWord.objects.filter(word__in=part).order_by().values_list("word", flat=True).distinct())
        spelling.forget(uid, set(part) - others)


def _words_of(memory: Memory) -> dict[str, int]:
    made = memory.structured
    parts = [made.title, made.overview, *(item.description for item in made.action_items)]
    parts += [*(event.title for event in made.events), *(comment.text for comment in memory.edits.comments)]
    parts += [plain_text(memory.transcript_segments)]
    return _most_said(Counter(word for part in parts for word in words(part)))


def _most_said(counts: Counter[str]) -> dict[str, int]:
    return dict(counts) if len(counts) <= MOST_DISTINCT else dict(counts.most_common(MOST_DISTINCT))


def digests(uid: str, words: Iterable[str]) -> dict[str, int]:
    """63 bits of a keyed digest for each word: enough to keep the words of all users apart."""
    keyed = hmac.new(settings.SECRET_KEY.encode(), f"search/{uid}/".encode(), hashlib.sha256)
    found = {}
    for word in words:
        digest = keyed.copy()
        digest.update(word.encode())
        found[word] = int.from_bytes(digest.digest()[:8], "big") >> 1
    return found


def seconds(moment: datetime) -> int:
    """Return a moment in whole Unix seconds."""
    return int(moment.timestamp())


def scheme() -> str:
    """Return the mark of how words are cut and keyed today; entries with another one are written anew."""
    return "4-" + hashlib.sha256(f"search/{settings.SECRET_KEY}".encode()).hexdigest()[:12]
