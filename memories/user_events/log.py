"""What happened to a user's memories, as numbered rows that the socket, server-sent events and push all read.

A message on the channel layer is only a nudge to read the rows, so an event is never lost with a socket: a client that
returns asks for what came after its last number. Payloads hold ids; the memory of ``new_memory_created`` is read when
the event is served, so that an event never shows an outdated or a deleted memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import structlog
from asgiref.sync import async_to_sync
from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.db import transaction
from django.db.models import QuerySet

from memories.mirror.models import MemoryRow
from memories.repository import listing
from memories.repository import memories as repository
from memories.user_events.models import EventCounter, UserEvent
from omi.accounts.erased import Fence
from omi.core.batches import batches
from omi.core.pruning import delete_in_pieces

log = structlog.get_logger(__name__)

# Success and failed are known to the app and were never sent by the original; started, waiting and updated are ours.
# An app passes over a type that it does not know (docs/reference/app-protocol.md).
NEW_PROCESSING_MEMORY = "new_processing_memory_created"
MEMORY_CREATING = "new_memory_creating"
MEMORY_CREATED = "new_memory_created"
MEMORY_UPDATED = "memory_updated"
MEMORY_CREATE_FAILED = "new_memory_create_failed"
POST_PROCESSING_STARTED = "memory_post_processing_started"
POST_PROCESSING_WAITING = "memory_post_processing_waiting"
POST_PROCESSING_SUCCESS = "memory_post_processing_success"
POST_PROCESSING_FAILED = "memory_post_processing_failed"
WEBHOOK_SWITCHED_OFF = "webhook_switched_off"
RECAP_CREATED = "recap_created"
ACTION_ITEM_CREATED = "action_item_created"
MEMORY_REPLACED = "memory_replaced"

KEPT = timedelta(days=90)
"""A client that was away longer reads its list anew anyway."""
MAX_MEMORY_BYTES = 256 * 1024
"""A larger memory is told without its segments and photos: the app reads them when they are looked at. Many clients may
replay many events at once, and each waits in memory until it is read."""

NUDGE = {"type": "events.nudge"}
CHUNK = 500
"""Users that one query asks for."""


def append(uid: str, event_type: str, payload: Mapping[str, Any] | None = None, dedupe_key: str | None = None) -> int:
    """Append an event and return its number. The same ``dedupe_key`` again gives the first event's number.

    Safe inside the caller's transaction: the number is only visible, and listeners are only nudged, once it commits.
    """
    stored = {key: value for key, value in (payload or {}).items() if key not in ("memory", "type", "event_type")}
    with transaction.atomic():
        # The counter stays locked until commit: numbers become visible in order, and a key cannot come twice at once.
        counter, _ = EventCounter.objects.select_for_update().get_or_create(uid=uid)
        if dedupe_key is not None and (known := _of(uid, dedupe_key).values_list("number", flat=True).first()):
            return int(known)
        counter.last += 1
        counter.save(update_fields=["last"])
        UserEvent.objects.create(
            uid=uid,
            number=counter.last,
            type=event_type,
            memory_id=str(stored.get("memory_id") or ""),
            payload=stored,
            dedupe_key=dedupe_key,
        )
        transaction.on_commit(lambda: nudge(uid))
    return counter.last


def lock(uid: str) -> int:
    """Lock the user's log until the caller's transaction ends, and give the number of its newest event.

    Whoever locks rows that belong to a log as well locks the log first.
    """
    counter, _ = EventCounter.objects.select_for_update().get_or_create(uid=uid)
    return counter.last


@contextmanager
def user_write(uid: str, fence: Fence) -> Iterator[int]:
    """A transaction in which one such write of the user is at work at a time, and none beside an erasure: the log is
    held and ``fence`` is called first. Gives the number of the log's newest event."""
    with transaction.atomic():
        latest = lock(uid)
        fence()
        yield latest


def lock_if_there(uid: str) -> bool:
    """Lock the user's log as ``lock`` does, but begin none (an erased user's stays gone); whether there is one."""
    return EventCounter.objects.select_for_update().filter(uid=uid).first() is not None


def was_appended(uid: str, dedupe_key: str) -> bool:
    """Whether the event of this key was appended."""
    return _of(uid, dedupe_key).exists()


def payload(uid: str, dedupe_key: str) -> dict[str, Any] | None:
    """What the event of this key holds; None where there is none."""
    found = _of(uid, dedupe_key).values_list("payload", flat=True).first()
    return None if found is None else dict(found)


def _of(uid: str, dedupe_key: str) -> QuerySet[UserEvent]:
    return UserEvent.objects.filter(uid=uid, dedupe_key=dedupe_key)


def nudge(uid: str) -> None:
    """Tell this user's listeners to read. Best effort: they also look by themselves every second or so."""
    layer = get_channel_layer()
    if layer is None or (isinstance(layer, InMemoryChannelLayer) and group(uid) not in layer.groups):
        return  # without Redis nobody outside of this process could hear it
    try:
        async_to_sync(layer.group_send)(group(uid), NUDGE)
    except Exception as error:  # the row is there; a dead Redis must not undo what was done
        log.warning("event_nudge_failed", error=type(error).__name__)


def after(uid: str, number: int, limit: int = 100, *, memories: bool = True) -> list[dict[str, Any]]:
    """Events with a larger number, oldest first, as the app reads them: ``type``, ``event_type``, ``event_number``, ….

    A ``new_memory_created`` whose memory was deleted since is left out; the others hold it where ``memories`` asks for
    that, and else what its row knows. Empty only where nothing is left.
    """
    size = max(1, min(limit, 500))
    while rows := list(UserEvent.objects.filter(uid=uid, number__gt=number).order_by("number")[:size]):
        if found := [served for row in rows if (served := _served(row, memories)) is not None]:
            return found
        number = rows[-1].number
    return []


def latest(uid: str) -> int:
    """The number of this user's newest event; 0 where there is none."""
    return EventCounter.objects.filter(uid=uid).values_list("last", flat=True).first() or 0


def latest_among(uids: Collection[str]) -> dict[str, int]:
    """The number of each user's newest event, in one look for all; a user without events is left out."""
    found: dict[str, int] = {}
    for part in batches(uids, CHUNK):
        found.update(EventCounter.objects.filter(uid__in=part).values_list("uid", "last"))
    return found


def group(uid: str) -> str:
    """Channel-layer group of a user: names may hold ASCII letters only, so the uid is hashed."""
    return f"events.{hashlib.sha256(uid.encode()).hexdigest()[:40]}"


def forget_memory(uid: str, memory_id: str) -> int:
    """Erase what the log holds of one memory; the numbers of the others stay."""
    return UserEvent.objects.filter(uid=uid, memory_id=memory_id).delete()[0]


def forget_user(uid: str) -> int:
    """Erase the user's log, the counter included."""
    EventCounter.objects.filter(uid=uid).delete()
    return UserEvent.objects.filter(uid=uid).delete()[0]


def prune(before: datetime) -> int:
    """Delete events older than ``before``; a client that was away longer refreshes its list anyway."""
    return delete_in_pieces(UserEvent.objects.filter(created_at__lt=before))


def _served(row: UserEvent, memories: bool) -> dict[str, Any] | None:
    event: dict[str, Any] = {
        "type": row.type,
        "event_type": row.type,
        "event_number": row.number,
        **row.payload,
    }
    if row.type == MEMORY_CREATED:
        told = _memory(row) if memories else _summary(row)
        if told is None:
            return None
        event = {"messages": [], "message_ids": [], **told, **event}
    return event


def _memory(row: UserEvent) -> dict[str, Any] | None:
    if _is_large(row):  # before a word of it is unpacked
        for _, bare in listing.get_bounded([(row.uid, row.memory_id)], listing.Room(MAX_MEMORY_BYTES)):
            told = {"processing_memory_id": bare.processing_memory_id, "memory": bare.model_dump(mode="json")}
            return {**told, "memory_shortened": True}
    try:
        memory = repository.get_memory(row.uid, row.memory_id)
    except repository.MemoryNotFound:
        return None
    size = sum(len(item.text) + 200 for item in memory.transcript_segments)
    size += sum(len(photo.base64) + len(photo.description) for photo in memory.photos)
    large = size > MAX_MEMORY_BYTES
    shown = memory.model_copy(update={"transcript_segments": [], "photos": []}) if large else memory
    told = {"processing_memory_id": memory.processing_memory_id, "memory": shown.model_dump(mode="json")}
    return {**told, "memory_shortened": True} if large else told


def _is_large(row: UserEvent) -> bool:
    found = MemoryRow.objects.filter(uid=row.uid, memory_id=row.memory_id).first()
    if found is None:
        return False
    return found.text_size + 200 * found.segments + found.photo_size > MAX_MEMORY_BYTES


def _summary(row: UserEvent) -> dict[str, Any] | None:
    """What the memory's row knows: no words."""
    found = MemoryRow.objects.filter(uid=row.uid, memory_id=row.memory_id, deleted=False).first()
    if found is None:
        return None
    moments = {
        name: moment.isoformat() if (moment := getattr(found, name)) else None for name in ("started_at", "finished_at")
    }
    summary = {"category": found.category, "discarded": found.discarded, "segments": found.segments, **moments}
    return {"processing_memory_id": found.processing_memory_id or None, "summary": summary}
