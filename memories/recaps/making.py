"""Making recaps: which are due, one at a time, exactly one of each period.

A schedule looks at each user after their midnight. The row of a period is unique and a recap is made under a claim that
ends by itself, so that two schedulers, or one that is killed and comes back days later, make it once and tell it once.
"""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime, timedelta, tzinfo
from time import monotonic

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from memories.mirror.models import MemoryRow
from memories.pipeline.budgets import BudgetSpent
from memories.pipeline.engine import content_hash
from memories.pipeline.vendor_calls.records import MadeBefore
from memories.recaps import material, periods, written
from memories.recaps.content import EXTRACTIVE, Content, content
from memories.recaps.models import Recap, RecapSource, RecapTurn
from memories.repository import emotions as emotions_repository
from memories.repository import memories as repository
from memories.shapes import Memory
from memories.structuring.openai_client import VENDOR
from memories.user_events import log as events
from omi.accounts.erased import AccountErased, require_alive
from omi.accounts.users import UserDoc, get_user, zone
from omi.core.batches import batches
from omi.core.errors import ProviderError
from omi.core.providers import one
from omi.push import push
from omi.stores.documents import documents, path
from omi.stores.documents.base import DocumentError, Transaction

log = structlog.get_logger(__name__)

CLAIM = timedelta(minutes=5)
USERS_AT_ONCE, RECAPS_AT_ONCE = 500, 50
TURN_SECONDS = 300.0
MOST_TRIES = 10
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=10), timedelta(hours=4)
"""After a try that failed, doubled each time: a store that is away for hours costs a few tries, and the last of them is
21 hours after the first."""
GIVEN_UP_FOR = timedelta(days=15)
"""A recap that was given up is asked after by operators until its period began this long ago."""
MOST_MEMORIES = 200
"""Of one period, the newest: a week of talk has some hundred."""
FETCHED = 20


def tick() -> int:
    """Make the recaps that are due; returns how many were made."""
    now = timezone.now()
    look(now)
    due = Recap.objects.filter(Q(until=None) | Q(until__lt=now), due=True, tries__lt=MOST_TRIES)
    due = due.order_by("tries", "first", "pk")  # what has failed keeps none waiting that has not
    made, began = 0, monotonic()
    for identity in list(due.values_list("pk", flat=True)[:RECAPS_AT_ONCE]):
        if monotonic() - began > TURN_SECONDS:
            break  # a model that answers slowly: the next turn goes on, and the worker has other work
        made += make(identity)
    return made


def look(now: datetime) -> None:
    """Find the periods that ended: of users who have memories in them, once after each of their midnights."""
    since = now - periods.MADE_UP - timedelta(days=8)
    waiting = RecapTurn.objects.filter(next_at__gt=now).values("uid")
    rows = MemoryRow.objects.filter(created_at__gte=since, deleted=False, discarded=False).exclude(uid__in=waiting)
    for uid in list(rows.order_by("uid").values_list("uid", flat=True).distinct()[:USERS_AT_ONCE]):
        plan(uid, now)


def plan(uid: str, now: datetime) -> None:
    """Note what this user's ended periods lack, also where memories came into one later."""
    user = get_user(uid)
    own = zone(user)
    wanted = [kind for kind, on in (("day", user.recap_daily), ("week", user.recap_weekly)) if on]
    for kind in wanted:
        for first in periods.ended(kind, now, own):
            count = memories_of(uid, kind, first, user).count()
            if count:
                row, made = Recap.objects.get_or_create(uid=uid, kind=kind, first=first)
                if not made and not row.due and row.memories != min(count, MOST_MEMORIES):
                    Recap.objects.filter(pk=row.pk).update(due=True, tries=0)
    RecapTurn.objects.update_or_create(uid=uid, defaults={"next_at": periods.next_look(now, own)})


def memories_of(uid: str, kind: str, first: date, user: UserDoc) -> QuerySet[MemoryRow]:
    """Rows of the memories of a period, newest first."""
    begin, end = periods.bounds(kind, first, zone(user))
    rows = MemoryRow.objects.filter(uid=uid, created_at__gte=begin, created_at__lt=end, deleted=False, discarded=False)
    return rows.order_by("-created_at")


def make(identity: int) -> bool:
    """Make one recap, where nobody else is at it. False where it was not made."""
    now, claim = timezone.now(), secrets.token_hex(8)
    free = Recap.objects.filter(Q(until=None) | Q(until__lt=now), pk=identity, due=True)
    if not free.update(until=now + CLAIM, claim=claim, tries=F("tries") + 1):
        return False
    row = Recap.objects.get(pk=identity)
    try:
        made = _make(row, now)
    except AccountErased:
        Recap.objects.filter(pk=identity).delete()
        return False
    except Exception as error:
        _later(row)
        given_up = row.tries >= MOST_TRIES
        log.warning("recap_not_made", uid=row.uid, kind=row.kind, error=type(error).__name__, given_up=given_up)
        if not isinstance(error, (ProviderError, DocumentError)):
            raise  # a fault of ours: the task fails, and its next turn goes on with the others
        return False
    if made:
        _push(row)
    return made


def _later(row: Recap) -> None:
    """Give the claim back, and have the next try wait: most failures are a store or a vendor that is away."""
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** max(0, row.tries - 1))
    mine = Recap.objects.filter(pk=row.pk, claim=row.claim, due=True)
    mine.update(until=timezone.now() + pause, claim="")


def given_up() -> QuerySet[Recap]:
    """Recaps of the last weeks that were tried so often that no turn tries them again."""
    since = (timezone.now() - GIVEN_UP_FOR).date()
    return Recap.objects.filter(due=True, tries__gte=MOST_TRIES, first__gte=since)


def try_again() -> int:
    """Have the next turn try again what was given up; how many."""
    return given_up().update(tries=0, until=None)


def _make(row: Recap, began: datetime) -> bool:
    user = get_user(row.uid)
    rows = memories_of(row.uid, row.kind, row.first, user)
    ids = list(rows.values_list("memory_id", flat=True)[:MOST_MEMORIES])[::-1]
    memories = []
    for part in batches(ids, FETCHED):
        found = repository.get_memories(row.uid, part)
        memories += [found[name] for name in part if name in found and not found[name].discarded]
    timelines = {
        memory.id: timeline for memory in memories
        if (timeline := emotions_repository.load_emotions(row.uid, memory.id)) is not None
    }  # fmt: skip
    spoken = [memory.language for memory in memories if memory.language]
    language = user.language or (max(sorted(set(spoken)), key=spoken.count) if spoken else "en")
    made = content(row.kind, row.first, str(zone(user)), language, memories, timelines)
    made = _with_summary(row, made, memories, zone(user))
    return _store(row, made, [memory.id for memory in memories], began)


def _with_summary(row: Recap, made: Content, memories: list[Memory], own: tzinfo) -> Content:
    """With sentences of a language model, where one is configured, may be paid, and says what holds. The same words are
    paid for once: made again, a recap keeps its sentences; those of a worker that was killed are not asked for again.
    """
    structurer = one("structurer")
    if structurer.name != VENDOR:
        return made
    read = material.gathered(memories, own)
    if not read.memories:  # photos alone: there is nothing to read
        return made
    key = content_hash.of([row.uid, row.kind, row.first.isoformat(), *written.asked(
        structurer.model_name, read, made.language)])  # fmt: skip
    found = documents().get(document_path(row.uid, row.kind, row.first))
    if found is not None and found.data.get("written_from") == key:
        kept = {name: found.data[name] for name in ("summary", "voices", "method", "written_from")}
        return Content.model_validate({**made.model_dump(), **kept})
    try:
        summary = written.sentences(row.uid, structurer.model_name, read, made.language, key, cost=structurer.cost)
    except (ProviderError, BudgetSpent, MadeBefore) as error:
        log.warning("recap_without_model", uid=row.uid, kind=row.kind, error=type(error).__name__)
        return made
    method = structurer.model_name if summary else EXTRACTIVE
    more = {"summary": summary, "voices": read.voices, "method": method, "written_from": key}
    return made.model_copy(update=more)


def _store(row: Recap, made: Content, sources: list[str], began: datetime) -> bool:
    """Write the document and say so in the row, as one: whoever lost the claim writes neither."""
    where = document_path(row.uid, row.kind, row.first)

    def write(current: Transaction) -> None:
        require_alive(row.uid, began)
        current.set(where, {**made.model_dump(mode="json"), "created_at": datetime.now(UTC)})

    with transaction.atomic():
        events.lock(row.uid)  # an erasure of the user or of a memory waits, or was here before
        require_alive(row.uid, began)
        mine = Recap.objects.select_for_update().filter(pk=row.pk, claim=row.claim, due=True)
        if mine.first() is None:
            return False
        alive = set(MemoryRow.objects.filter(uid=row.uid, memory_id__in=sources, deleted=False)
                    .values_list("memory_id", flat=True))  # fmt: skip
        if alive != set(sources):
            mine.update(until=None)  # one was deleted meanwhile: made again without it
            return False
        RecapSource.objects.filter(recap=row).delete()
        RecapSource.objects.bulk_create([RecapSource(recap=row, memory_id=name) for name in sources])
        if not sources:
            documents().delete(where)
            mine.delete()
            return False
        documents().transaction(write)
        mine.update(due=False, until=None, memories=len(sources), made_at=timezone.now(), tries=0)
        payload = {"kind": row.kind, "first": row.first.isoformat()}
        events.append(row.uid, events.RECAP_CREATED, payload, dedupe_key=f"recap:{row.kind}:{row.first}")
    return True


def _push(row: Recap) -> None:
    """Once, and only for who asked for it; without a device nothing is missing."""
    user = get_user(row.uid)
    if not user.recap_push or not user.fcm_tokens:
        return
    if not Recap.objects.filter(pk=row.pk, pushed=False).update(pushed=True):  # before sending: rather none than two
        return
    try:
        found = documents().get(document_path(row.uid, row.kind, row.first))
        title = str(found.data.get("title", "")) if found else ""
        push(row.uid, title, "", {"recap": f"{row.kind}/{row.first}"})
    except (ProviderError, DocumentError) as error:
        log.warning("recap_push_failed", error=type(error).__name__, code=getattr(error, "code", ""))


def document_path(uid: str, kind: str, first: date) -> str:
    """Return the path of the document with the text of a recap."""
    return path("users", uid, "recaps", f"{kind}-{first.isoformat()}")
