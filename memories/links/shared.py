"""Links to one memory that its owner gives away: made, listed, revoked, opened. Owners' functions take the uid."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from memories.links import own_voice
from memories.links.feeds import digest
from memories.links.models import SharedLink, TaskFeed
from memories.repository import memories as repository
from memories.shapes import Memory
from memories.user_events import log as events
from omi.accounts.erased import Fence, erased_since
from omi.core.pruning import delete_in_pieces
from omi.stores import audio as recordings

FIELDS: Final = ("title", "overview", "action_items", "events", "transcript")
"""What a link may show. There is none for the place or for who spoke; of the audio only the owner's voice is heard."""
MOST_PER_MEMORY: Final = 20
MOST_PER_USER: Final = 500
KEPT: Final = timedelta(days=30)
"""How long a link that expired is still listed."""


class LinkNotFound(LookupError):
    """The memory has no such link, or nobody has it any more."""


class TooManyLinks(Exception):
    """The memory, or the user, has as many links as may be."""


def make(
    uid: str, memory_id: str, fields: Sequence[str], days: int, *, audio: bool = False, fence: Fence
) -> tuple[SharedLink, str]:
    """Make a link that lasts ``days``; its secret is given here and never again. ``audio``: it lets the owner's own
    voice be heard.

    Raises MemoryNotFound, TooManyLinks and what ``fence`` raises.
    """
    secret, now = secrets.token_urlsafe(32), timezone.now()
    with events.user_write(uid, fence):
        there = repository.glance(uid, memory_id)
        if there is None or there.deleted:
            raise repository.MemoryNotFound("Memory not found")
        mine = SharedLink.objects.filter(uid=uid, expires_at__gt=now)
        if mine.count() >= MOST_PER_USER or mine.filter(memory_id=memory_id).count() >= MOST_PER_MEMORY:
            raise TooManyLinks
        made = SharedLink.objects.create(
            id=f"ln_{secrets.token_hex(12)}", digest=digest(secret), uid=uid, memory_id=memory_id,
            fields=[name for name in FIELDS if name in fields], audio=audio,
            created_at=now, expires_at=now + timedelta(days=days),
        )  # fmt: skip
    return made, secret


def listed(uid: str, memory_id: str) -> list[SharedLink]:
    """The links of a memory, newest first, those that expired within the last month too. Raises MemoryNotFound."""
    there = repository.glance(uid, memory_id)
    if there is None or there.deleted:
        raise repository.MemoryNotFound("Memory not found")
    return list(SharedLink.objects.filter(uid=uid, memory_id=memory_id).order_by("-created_at", "id")[:200])


def revoke(uid: str, memory_id: str, link_id: str) -> None:
    """End a link at once. Raises LinkNotFound."""
    if not SharedLink.objects.filter(uid=uid, memory_id=memory_id, id=link_id).delete()[0]:
        raise LinkNotFound


def find(secret: str) -> SharedLink | None:
    """The link that this secret opens; None where it was revoked, expired, or its owner is gone."""
    found = SharedLink.objects.filter(digest=digest(secret), expires_at__gt=timezone.now()).first()
    return None if found is None or erased_since(found.uid, found.created_at) else found


def opened(secret: str) -> tuple[SharedLink, Memory]:
    """The link and its memory; the view is counted. Raises LinkNotFound."""
    link = find(secret)
    if link is None:
        raise LinkNotFound
    try:
        memory = repository.get_memory(link.uid, link.memory_id)
    except repository.MemoryNotFound as error:
        raise LinkNotFound from error
    SharedLink.objects.filter(pk=link.pk).update(views=F("views") + 1, viewed_at=timezone.now())
    return link, memory


def heard(secret: str) -> own_voice.OwnVoice:
    """What the link lets be heard; no view is counted. Raises LinkNotFound where that is nothing."""
    link = find(secret)
    if link is None or not link.audio:
        raise LinkNotFound
    try:
        found = audible(link, repository.get_memory(link.uid, link.memory_id))
    except repository.MemoryNotFound as error:
        raise LinkNotFound from error
    if found is None:
        raise LinkNotFound
    return found


def audible(link: SharedLink, memory: Memory) -> own_voice.OwnVoice | None:
    """What the link lets be heard of its memory: nothing where it has no audio, or no recording is kept."""
    kept = recordings.for_memory(link.uid, link.memory_id, "recording") if link.audio else []
    try:
        return own_voice.of_recording(kept[-1] if kept else None, memory.transcript_segments, memory.spoken_beside)
    except recordings.AudioNotFound:
        return None


def prune() -> int:
    """Delete links that expired more than a month ago; how many."""
    return delete_in_pieces(SharedLink.objects.filter(expires_at__lt=timezone.now() - KEPT))


def forget_memory(uid: str, memory_id: str) -> int:
    """Erase the links to a memory. Waits for whoever is making one, who finds the memory deleted from then on."""
    with transaction.atomic():
        events.lock_if_there(uid)
        return int(SharedLink.objects.filter(uid=uid, memory_id=memory_id).delete()[0])


def forget_user(uid: str) -> int:
    """Erase all links and the feed of a user."""
    with transaction.atomic():
        events.lock_if_there(uid)
        return sum(int(rows.objects.filter(uid=uid).delete()[0]) for rows in (SharedLink, TaskFeed))


def remaining(uid: str) -> int:
    """How many links and feeds of a user there are."""
    return SharedLink.objects.filter(uid=uid).count() + TaskFeed.objects.filter(uid=uid).count()


def exported(uid: str) -> dict[str, Any]:
    """A user's links for the export. Their secrets are not known to the server."""
    told = ("id", "memory_id", "fields", "audio", "created_at", "expires_at", "views", "viewed_at")
    return {
        "links": list(SharedLink.objects.filter(uid=uid).order_by("created_at").values(*told)),
        "feeds": list(TaskFeed.objects.filter(uid=uid).values("created_at")),
    }
