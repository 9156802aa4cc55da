"""The user document ``users/{uid}``: settings, consent, devices. A user without one has the defaults."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from omi.accounts.erased import Fence
from omi.stores import damaged
from omi.stores.documents import documents, path
from omi.stores.documents.base import Document, Transaction, Unreadable

MAX_TOKENS = 20
"""Devices per user; the oldest falls out."""


class Improvement(BaseModel):
    """What the user permits beyond what the product does for them: ``learning`` from their own corrections for
    themselves; ``cases``: corrections and reports may be looked at and measured with; ``shadow``: a second vendor may
    be tried on their recordings."""

    learning: bool = True
    cases: bool = False
    shadow: bool = False


class UserDoc(BaseModel):
    """The document of a user. ``time_zone`` is an IANA name, ``language`` a code or None for "as spoken";
    ``vocabulary`` helps recognition. ``templates``: category to the id of the summary template that its memories get.
    ``recordings_keep_days``: None keeps recordings until they are deleted."""

    model_config = ConfigDict(extra="allow")

    uid: str
    name: str = ""
    language: str | None = None
    time_zone: str = "UTC"
    store_recording_permission: bool = False
    recordings_keep_days: int | None = None
    emotional_feedback_push: bool = False
    recap_daily: bool = True
    recap_weekly: bool = True
    recap_push: bool = False
    fcm_tokens: list[str] = Field(default_factory=list)
    vocabulary: list[str] = Field(default_factory=list)
    templates: dict[str, str] = Field(default_factory=dict)
    improvement: Improvement = Field(default_factory=Improvement)
    account_deleted: bool = False
    created_at: datetime | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_token(cls, data: Any) -> Any:
        """The original keeps one ``fcm_token``; ours is a list. Nulls in old documents mean "not set"."""
        data = {key: value for key, value in dict(data).items() if value is not None}
        token = data.get("fcm_token")
        tokens = list(data.get("fcm_tokens") or [])
        if token and token not in tokens:
            tokens.append(token)
        return {**data, "fcm_tokens": tokens}


def vocabulary_version(terms: Sequence[str]) -> str:
    """Names a vocabulary by its content; "" for none. A transcript says which one it was made with."""
    return hashlib.sha256(json.dumps(list(terms), ensure_ascii=False).encode()).hexdigest()[:12] if terms else ""


def user_path(uid: str) -> str:
    """Return the path of the user's document."""
    return path("users", uid)


def get_user(uid: str) -> UserDoc:
    """The user's document, or the defaults; also where it is damaged, which is reported: the defaults allow nothing."""
    try:
        return find_user(uid) or UserDoc(uid=uid)
    except Unreadable as error:
        damaged.report(user_path(uid), error)
        return UserDoc(uid=uid)


def zone_of(uid: str) -> ZoneInfo:
    """The user's time zone; UTC where it is none that is known."""
    return zone(get_user(uid))


def zone(user: UserDoc) -> ZoneInfo:
    """Return the user's time zone as ``zone_of``, of a document that was read."""
    try:
        return ZoneInfo(user.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def find_user(uid: str) -> UserDoc | None:
    """Return the user's document, None where there is none. Raises Unreadable."""
    found = documents().get(user_path(uid))
    return None if found is None else _parse(uid, found)


def no_fence() -> None:
    """Do nothing: no condition stands against the write."""


def update_user(uid: str, *, fence: Fence = no_fence, **fields: Any) -> UserDoc:
    """Write only these fields; makes the document where there is none. ``fence`` is called inside of the transaction;
    what it raises refuses the write."""
    return _change(uid, lambda user: fields, fence)


def set_recording_permission(uid: str, allowed: bool, *, fence: Fence = no_fence) -> None:
    """Consent to keep recordings. Taking it back does not delete by itself: see
    memories.privacy.erasure.forget_recordings."""
    now = datetime.now(UTC)
    update_user(uid, fence=fence, store_recording_permission=allowed, store_recording_permission_at=now)


def recordings_age(uid: str) -> timedelta | None:
    """How long after they were stored this user's recordings go; None: they stay until they are deleted."""
    days = get_user(uid).recordings_keep_days
    return None if days is None else timedelta(days=days)


def add_fcm_token(uid: str, token: str, time_zone: str | None = None, *, fence: Fence = no_fence) -> None:
    """Add a device's push token, the newest last, at most ``MAX_TOKENS``; and the time zone where it is given."""

    def change(user: UserDoc) -> dict[str, Any]:
        tokens = [*(known for known in user.fcm_tokens if known != token), token][-MAX_TOKENS:]
        fields: dict[str, Any] = {"fcm_tokens": tokens, "fcm_token": token}
        return fields if time_zone is None else {**fields, "time_zone": time_zone}

    _change(uid, change, fence)


def forget_fcm_tokens(uid: str, tokens: Sequence[str]) -> None:
    """Take push tokens away from the user, such as those that FCM no longer knows."""

    def change(user: UserDoc) -> dict[str, Any]:
        left = [known for known in user.fcm_tokens if known not in set(tokens)]
        return {"fcm_tokens": left, "fcm_token": left[-1] if left else None}

    _change(uid, change)


def _change(uid: str, change: Callable[[UserDoc], dict[str, Any]], fence: Fence = no_fence) -> UserDoc:
    where = user_path(uid)

    def step(transaction: Transaction) -> UserDoc:
        fence()
        found = transaction.get(where)
        fields = change(_parse(uid, found) if found else UserDoc(uid=uid))
        if found is None:
            made = {"created_at": datetime.now(UTC), **fields}
            transaction.create(where, made)
            return UserDoc.model_validate({**made, "uid": uid})
        if fields:
            transaction.update(where, fields)
        return UserDoc.model_validate({**found.data, **fields, "uid": uid})

    return documents().transaction(step)


def _parse(uid: str, found: Document) -> UserDoc:
    try:
        return UserDoc.model_validate({**found.data, "uid": uid})
    except (ValidationError, TypeError) as error:  # TypeError: a number where a list should be
        raise Unreadable(f"{found.path} does not have the shape of a user") from error
