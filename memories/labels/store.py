"""The folders and tags that a user has made: documents ``users/{uid}/labels/{id}``.

A memory holds ids, so that a new name is everywhere at once. A stranger's label, and a deleted one, is not found.
"""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import UTC, datetime
from typing import Final, Literal

from django.db import transaction
from pydantic import BaseModel, ValidationError

from memories.mirror import rows
from memories.mirror.models import MemoryRow
from memories.user_events import log as events
from omi.accounts.erased import Fence
from omi.stores import damaged
from omi.stores.documents import documents, path
from omi.stores.documents.base import Document, InvalidPath, Unreadable

MOST_FOLDERS: Final = 100
MOST_TAGS: Final = 300
LONGEST_NAME: Final = 60
"""Characters."""
COUNTED: Final = 50_000
"""Memories of a user that are counted by label, the newest."""

Kind = Literal["folder", "tag"]
_PREFIX: Final[dict[Kind, str]] = {"folder": "fo", "tag": "tg"}
_MOST: Final[dict[Kind, int]] = {"folder": MOST_FOLDERS, "tag": MOST_TAGS}


class Label(BaseModel):
    """A folder, of which a memory is in one at most, or a tag, of which it may bear several."""

    id: str
    kind: Kind
    name: str
    created_at: datetime


class LabelNotFound(LookupError):
    """No such folder or tag of this user (404)."""


class TooManyLabels(Exception):
    """The user has as many folders, or tags, as may be (409)."""


class NameTaken(Exception):
    """Another folder, or tag, of the user bears this name (409)."""


def listed(uid: str, kind: Kind | None = None) -> list[Label]:
    """Folders first, each kind by name."""
    found = [label for document in documents().query(path("users", uid, "labels")) if (label := _read(document))]
    return sorted(
        (label for label in found if kind in (None, label.kind)),
        key=lambda label: (label.kind, label.name.casefold(), label.id),
    )


def names(uid: str) -> dict[str, str]:
    """Id to name of all folders and tags."""
    return {label.id: label.name for label in listed(uid)}


def get(uid: str, label_id: str) -> Label:
    """Return the user's label of this id; raises LabelNotFound, also where its document is damaged."""
    try:
        found = documents().get(_path(uid, label_id))
    except InvalidPath:
        found = None
    except Unreadable as error:
        damaged.report(_path(uid, label_id), error)
        found = None
    label = _read(found) if found is not None else None
    if label is None:
        raise LabelNotFound(label_id)
    return label


def counts(uid: str) -> Counter[str]:
    """How many memories bear each label, those that were discarded too."""
    bearing = MemoryRow.objects.filter(uid=uid, deleted=False).exclude(labels="").order_by("-created_at")
    return Counter(label for told in bearing.values_list("labels", flat=True)[:COUNTED] for label in told.split())


def count(uid: str, label_id: str) -> int:
    """How many memories bear this label."""
    return rows.labelled(MemoryRow.objects.filter(uid=uid, deleted=False), [label_id]).count()


def create(uid: str, kind: Kind, name: str, *, fence: Fence) -> Label:
    """Make a folder or a tag. One of the same name (case does not count) that is there is given as it is.

    ``name`` has 1 to ``LONGEST_NAME`` characters. Raises TooManyLabels and what ``fence`` raises.
    """
    with events.user_write(uid, fence):
        there = listed(uid, kind)
        same = next((label for label in there if label.name.casefold() == name.casefold()), None)
        if same is not None:
            return same
        if len(there) >= _MOST[kind]:
            raise TooManyLabels
        made = Label(id=f"{_PREFIX[kind]}_{secrets.token_hex(6)}", kind=kind, name=name, created_at=datetime.now(UTC))
        documents().create(_path(uid, made.id), made.model_dump(exclude={"id"}))
    return made


def rename(uid: str, label_id: str, name: str, *, fence: Fence) -> Label:
    """Give a folder or tag another name. Raises LabelNotFound, NameTaken and what ``fence`` raises."""
    with events.user_write(uid, fence):
        label = get(uid, label_id)
        others = (other for other in listed(uid, label.kind) if other.id != label_id)
        if any(other.name.casefold() == name.casefold() for other in others):
            raise NameTaken
        documents().update(_path(uid, label_id), {"name": name})
    return label.model_copy(update={"name": name})


def remove(uid: str, label_id: str) -> None:
    """Delete the document of a folder or tag. Raises LabelNotFound."""
    with transaction.atomic():
        events.lock(uid)
        get(uid, label_id)
        documents().delete(_path(uid, label_id))


def _read(document: Document) -> Label | None:
    try:
        return Label.model_validate({"id": document.id, **document.data})
    except ValidationError as error:
        damaged.report(document.path, error)
        return None


def _path(uid: str, label_id: str) -> str:
    return path("users", uid, "labels", label_id)
