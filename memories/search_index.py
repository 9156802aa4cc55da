"""Finding memories by their words, beside the search by meaning that misses names and acronyms (omi-protocol 5.5).

The index holds keyed digests of the words, not the words: the documents stay the only place where a transcript lies.
A search first reads again what changed, so nothing else has to keep the index in step.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.conf import settings
from django.db.models import Q

from memories.models import MemoryRow
from memories.repository import memories as repository
from memories.repository.large import Unreadable
from memories.search_models import SearchTerms
from memories.shapes import Memory
from transcription.segments import plain_text

log = structlog.get_logger(__name__)

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


def terms(text: str) -> list[str]:
    """The words of a query, stemmed, without those that say nothing unless there are no others."""
    words = list(dict.fromkeys(_WORD.findall(text.casefold())))
    return [stem(word) for word in words if word not in _STOP] or [stem(word) for word in words]


def stem(word: str) -> str:
    """Without a plural ending: ``budgets`` finds ``budget``."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def refresh(uid: str) -> int:
    """Read again what changed since it was indexed, and drop what is gone. The number of documents read."""
    _drop_other_schemes(uid)
    stale = MemoryRow.objects.filter(uid=uid, words_stale=True).order_by("-created_at")
    found = list(stale.values_list("memory_id", "revision")[:REFRESHED_AT_ONCE])
    for memory_id, revision in found:
        try:
            memory = repository.get_memory(uid, memory_id)
        except (repository.MemoryNotFound, Unreadable) as error:
            if isinstance(error, Unreadable):  # one broken document hides no other from its owner
                log.error("memory.unreadable", memory_id=memory_id, reason=str(error))
            forget_memory(uid, memory_id)
        else:
            index(uid, memory)
            revision = memory.revision
        # Only if nobody wrote a newer revision meanwhile: that one is still to be read.
        MemoryRow.objects.filter(uid=uid, memory_id=memory_id, revision__lte=revision).update(words_stale=False)
    return len(found)


def index(uid: str, memory: Memory) -> None:
    made = entry(uid, memory)
    values = {name: getattr(made, name) for name in ("revision", "scheme", "terms", "created_at")}
    SearchTerms.objects.update_or_create(uid=uid, memory_id=memory.id, defaults=values)


def entry(uid: str, memory: Memory) -> SearchTerms:
    """The row of a memory, not saved."""
    made = memory.structured
    parts = [made.title, made.overview, *(item.description for item in made.action_items)]
    parts += [*(event.title for event in made.events), plain_text(memory.transcript_segments)]
    counts = Counter(stem(word) for part in parts for word in _WORD.findall(part.casefold()))
    digests = _digests(uid, counts)
    return SearchTerms(
        uid=uid,
        memory_id=memory.id,
        revision=memory.revision,
        scheme=_scheme(),
        terms=" ".join(f"{digests[word]}:{count}" for word, count in counts.items()),
        created_at=memory.created_at,
    )


def _drop_other_schemes(uid: str) -> None:
    """Words indexed under another secret key find nothing any more: all of them are read again."""
    scheme, rows = _scheme(), SearchTerms.objects.filter(uid=uid)
    # Two look-ups in the index; "not equal" would read it all.
    for others in (rows.filter(scheme__lt=scheme), rows.filter(scheme__gt=scheme)):
        if others.exists():
            MemoryRow.objects.filter(uid=uid, memory_id__in=others.values("memory_id")).update(words_stale=True)
            others.delete()


def find(uid: str, query: str, *, start: datetime | None = None, end: datetime | None = None) -> list[WordHit]:
    """Memories that hold words of the query, best first."""
    wanted = list(_digests(uid, terms(query)).values())
    if not wanted:
        return []
    rows = SearchTerms.objects.filter(uid=uid)
    total = rows.count()
    if start is not None:
        rows = rows.filter(created_at__gte=start)
    if end is not None:
        rows = rows.filter(created_at__lte=end)
    any_word = Q()
    for digest in wanted:
        any_word |= Q(terms__contains=digest)
    found = rows.filter(any_word).order_by("-created_at").values_list("memory_id", "terms")[:CANDIDATES]
    counted = [(memory_id, _counts(wanted, stored)) for memory_id, stored in found]
    documents = {digest: sum(1 for _, counts in counted if digest in counts) for digest in wanted}
    weights = {digest: math.log(1 + (total - count + 0.5) / (count + 0.5)) for digest, count in documents.items()}
    whole = sum(weights.values()) or 1.0
    # Saturating term frequency, as in BM25: the second mention says less than the first.
    hits = [
        WordHit(memory_id, sum(weights[digest] * count / (count + 0.5) for digest, count in counts.items()) / whole)
        for memory_id, counts in counted
    ]
    return sorted((hit for hit in hits if hit.score > 0), key=lambda hit: -hit.score)


def passage(memory: Memory, query: str, length: int = 240) -> str | None:
    """The segment that holds most of the query's words, cut to ``length``; the overview where none does."""
    wanted = set(terms(query))
    best, most = memory.structured.overview, 0
    for segment in memory.transcript_segments:
        held = len(wanted & {stem(word) for word in _WORD.findall(segment.text.casefold())})
        if held > most:
            best, most = segment.text, held
    return (best if len(best) <= length else best[: length - 1].rstrip() + "…") or None


def forget_memory(uid: str, memory_id: str) -> int:
    return int(SearchTerms.objects.filter(uid=uid, memory_id=memory_id).delete()[0])


def forget_user(uid: str) -> int:
    return int(SearchTerms.objects.filter(uid=uid).delete()[0])


def _counts(wanted: list[str], stored: str) -> dict[str, int]:
    """Looked up in the text as it is: 400 rows of several hundred words are too many to take apart."""
    held: dict[str, int] = {}
    for digest in wanted:
        at = stored.find(f"{digest}:")
        if at >= 0:
            held[digest] = int(stored[at + len(digest) + 1 :].split(" ", 1)[0])
    return held


def _digests(uid: str, words: Iterable[str]) -> dict[str, str]:
    """48 bits of a keyed digest for each word: enough to keep one user's words apart."""
    keyed = hmac.new(settings.SECRET_KEY.encode(), f"search/{uid}/".encode(), hashlib.sha256)
    found = {}
    for word in words:
        digest = keyed.copy()
        digest.update(word.encode())
        found[word] = digest.hexdigest()[:12]
    return found


def _scheme() -> str:
    return "1-" + hashlib.sha256(f"search/{settings.SECRET_KEY}".encode()).hexdigest()[:12]
