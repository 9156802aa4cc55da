"""Keeping ``SearchText`` in step with the documents, and finding memories by their words.

Vector search misses names and acronyms (omi-protocol 5.5, PR 7421): words are looked up beside it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from memories.models import MemoryRow
from memories.repository import memories as repository
from memories.search_models import SearchText
from memories.shapes import Memory
from transcription.segments import plain_text

REFRESHED_AT_ONCE = 200
"""Documents that one search may read to bring the index up to date; newest first, the next search does the rest."""
CANDIDATES = 400
_WORD = re.compile(r"\w+", re.UNICODE)
_STOP = frozenset(
    "a about an and are as at be been but by can did do does for from had has have he her him his how i in is it its "
    "me my of on or our she so that the their them then there they this to us was we were what when where which who "
    "will with you your".split()
)


@dataclass(frozen=True, slots=True)
class WordHit:
    """``score`` 0..1: how much of the query's weight the memory's words carry."""

    memory_id: str
    score: float


def terms(query: str) -> list[str]:
    """The query's words, without those that say nothing unless there are no others."""
    words = list(dict.fromkeys(word.casefold() for word in _WORD.findall(query)))
    return [word for word in words if word not in _STOP] or words


def refresh(uid: str) -> int:
    """Read again what changed since it was indexed, and drop what is gone. The number of documents read."""
    wanted = dict(
        MemoryRow.objects.filter(uid=uid, deleted=False).order_by("-created_at").values_list("memory_id", "revision")
    )
    have = dict(SearchText.objects.filter(uid=uid).values_list("memory_id", "revision"))
    gone = [memory_id for memory_id in have if memory_id not in wanted]
    for start in range(0, len(gone), 500):
        SearchText.objects.filter(uid=uid, memory_id__in=gone[start : start + 500]).delete()
    stale = [memory_id for memory_id, revision in wanted.items() if have.get(memory_id) != revision]
    read = 0
    for memory_id in stale[:REFRESHED_AT_ONCE]:
        read += 1
        try:
            index(uid, repository.get_memory(uid, memory_id))
        except repository.MemoryNotFound:
            SearchText.objects.filter(uid=uid, memory_id=memory_id).delete()
    return read


def index(uid: str, memory: Memory) -> None:
    items = [item.description for item in memory.structured.action_items]
    events = [event.title for event in memory.structured.events]
    parts = [
        memory.structured.title,
        memory.structured.overview,
        *items,
        *events,
        plain_text(memory.transcript_segments),
    ]
    SearchText.objects.update_or_create(
        uid=uid,
        memory_id=memory.id,
        defaults={
            "revision": memory.revision,
            "text": "\n".join(part for part in parts if part).replace("\x00", ""),
            "created_at": memory.created_at,
        },
    )


def find(uid: str, query: str, *, start: datetime | None = None, end: datetime | None = None) -> list[WordHit]:
    """Memories that hold words of the query, best first."""
    wanted = terms(query)
    if not wanted:
        return []
    rows = SearchText.objects.filter(uid=uid)
    total = rows.count()
    if start is not None:
        rows = rows.filter(created_at__gte=start)
    if end is not None:
        rows = rows.filter(created_at__lte=end)
    any_word = Q()
    for word in wanted:
        any_word |= Q(text__icontains=stem(word))
    found = rows.filter(any_word).order_by("-created_at").values_list("memory_id", "text")[:CANDIDATES]
    counted = [(memory_id, _frequencies(wanted, text)) for memory_id, text in found]
    documents = {word: sum(1 for _, counts in counted if counts[word]) for word in wanted}
    weights = {word: math.log(1 + (total - count + 0.5) / (count + 0.5)) for word, count in documents.items()}
    whole = sum(weights.values()) or 1.0
    # Saturating term frequency, as in BM25: the second mention says less than the first.
    hits = [
        WordHit(memory_id, sum(weights[word] * count / (count + 0.5) for word, count in counts.items()) / whole)
        for memory_id, counts in counted
    ]
    return sorted((hit for hit in hits if hit.score > 0), key=lambda hit: -hit.score)


def stem(word: str) -> str:
    """Without a plural or possessive ending: ``budgets`` finds ``budget``."""
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith("ss") else word


def passage(memory: Memory, query: str, length: int = 240) -> str | None:
    """The segment that holds most of the query's words, cut to ``length``; the overview where none does."""
    wanted = terms(query)
    best, most = None, 0
    for segment in memory.transcript_segments:
        held = sum(1 for count in _frequencies(wanted, segment.text).values() if count)
        if held > most:
            best, most = segment.text, held
    text = best or memory.structured.overview
    return (text if len(text) <= length else text[: length - 1].rstrip() + "…") or None


def forget_memory(uid: str, memory_id: str) -> int:
    return SearchText.objects.filter(uid=uid, memory_id=memory_id).delete()[0]


def forget_user(uid: str) -> int:
    return SearchText.objects.filter(uid=uid).delete()[0]


def _frequencies(wanted: list[str], text: str) -> dict[str, int]:
    words = [stem(word) for word in _WORD.findall(text.casefold())]
    return {
        word: sum(1 for item in words if item == stem(word) or (len(word) > 3 and item.startswith(stem(word))))
        for word in wanted
    }
