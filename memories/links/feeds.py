"""The secret address of a user's calendar feed: made, replaced, revoked, and who it belongs to."""

from __future__ import annotations

import hashlib
import secrets

from django.utils import timezone

from memories.links.models import TaskFeed
from memories.user_events import log as events
from omi.accounts.erased import Fence, erased_since


def digest(secret: str) -> str:
    """How a secret stands in a row. It is random, so nobody finds it by trying."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def make(uid: str, *, fence: Fence) -> tuple[TaskFeed, str]:
    """Make the feed with a new secret, which is given here and never again; the one before ends."""
    secret = secrets.token_urlsafe(32)
    with events.user_write(uid, fence):
        made, _ = TaskFeed.objects.update_or_create(
            uid=uid, defaults={"digest": digest(secret), "created_at": timezone.now()}
        )
    return made, secret


def find(uid: str) -> TaskFeed | None:
    """The user's feed; None where there is none."""
    return TaskFeed.objects.filter(uid=uid).first()


def revoke(uid: str) -> bool:
    """End the feed; whether there was one."""
    return bool(TaskFeed.objects.filter(uid=uid).delete()[0])


def owner(secret: str) -> str | None:
    """Whose feed this secret opens; None where it opens none any more."""
    found = TaskFeed.objects.filter(digest=digest(secret)).first()
    return None if found is None or erased_since(found.uid, found.created_at) else found.uid
