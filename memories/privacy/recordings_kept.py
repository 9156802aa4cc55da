"""How long what a user's device recorded is kept: what the user chose, and what there is of it now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import Count, Min, Sum
from pydantic import BaseModel

from memories.feedback.models import Report
from memories.user_events.log import KEPT as EVENTS_KEPT
from omi.accounts import users
from omi.accounts.erased import Fence
from omi.stores import audio
from omi.stores.models import AudioObject
from speakers.models import VoiceSample

LONGEST: Final = 3650
"""Days that recordings can be kept for; without a number they are kept until they are deleted."""


class Stored(BaseModel):
    """Audio of one kind. ``oldest``: when the first of it was stored; ``next_deletion``: when the next of it goes by
    itself, null where none does."""

    count: int
    bytes: int
    oldest: datetime | None
    next_deletion: datetime | None


class Kept(BaseModel):
    """What is kept of a user's audio, and for how long. ``recordings_allowed``: recordings of memories are kept at all;
    ``recordings_keep_days``: for how long, null: until they are deleted. ``uploads``: audio that processing needs, kept
    ``uploads_keep_hours`` with and without permission. The rest is the server's: days that a deleted memory can be
    restored (0: it goes at once), that events and feedback are kept. ``voice_samples`` are kept until they, their
    person or their memory are deleted."""

    recordings_allowed: bool
    recordings_keep_days: int | None
    recordings: Stored
    uploads: Stored
    uploads_keep_hours: float
    voice_samples: int
    feedback: int
    deleted_memories_days: float
    events_days: int
    feedback_days: int


def told(uid: str) -> Kept:
    """What is kept of a user, and for how long."""
    user = users.get_user(uid)
    return Kept(
        recordings_allowed=user.store_recording_permission,
        recordings_keep_days=user.recordings_keep_days,
        recordings=_stored(uid, AudioObject.Purpose.RECORDING),
        uploads=_stored(uid, AudioObject.Purpose.UPLOAD, AudioObject.Purpose.JOURNAL, AudioObject.Purpose.SYNC),
        uploads_keep_hours=settings.OMI_AUDIO_KEEP / timedelta(hours=1),
        voice_samples=VoiceSample.objects.filter(uid=uid).exclude(status=VoiceSample.Status.REMOVED).count(),
        feedback=Report.objects.filter(uid=uid).count(),
        deleted_memories_days=settings.OMI_RESTORE_DAYS,
        events_days=EVENTS_KEPT.days,
        feedback_days=settings.OMI_CASE_KEEP_DAYS,
    )


def keep_recordings_for(uid: str, days: int | None, *, fence: Fence = users.no_fence) -> None:
    """Set how long recordings are kept, from now on, and of what is kept already: recordings go so many days after they
    were stored, within minutes after that, by the worker's housekeeping. None: they stay until they are deleted."""
    users.update_user(uid, fence=fence, recordings_keep_days=days)
    audio.limit_age(uid, AudioObject.Purpose.RECORDING, users.recordings_age(uid))


def _stored(uid: str, *purposes: str) -> Stored:
    live = AudioObject.objects.filter(uid=uid, purpose__in=purposes, deleted_at__isnull=True, complete=True)
    found = live.aggregate(
        count=Count("id"), bytes=Sum("size"), oldest=Min("created_at"), next_deletion=Min("delete_after")
    )
    return Stored(**{**found, "bytes": found["bytes"] or 0})
