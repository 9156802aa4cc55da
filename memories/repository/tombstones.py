"""What a deletion leaves behind so that nothing brings the deleted back: rows of erased memories and deleted people.

The receipt of an erased memory holds a digest of its id: a memory with this id is never made again. A deleted person's
row stays, without a name. What is read goes through here, so that an id disappears from
every document with the deletion and not with the end of the clearing up; what is written goes through here, so that a
run or a socket that still holds the id cannot bring it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memories.mirror.models import ErasureReceipt, PersonRow
from omi.accounts.erased import digests
from omi.accounts.models import uid_digest
from omi.stores.documents.base import Data, Document

_LISTS = ("transcript_segments",)
_LABELS = ("assigned",)


def memory_subject(uid: str, memory_id: str) -> str:
    """The digest under which the receipt of an erased memory is found."""
    return uid_digest(f"{uid}/{memory_id}")


def was_erased(uid: str, memory_id: str) -> bool:
    """Return whether this very memory was erased: its id is never used again, so nothing brings it back."""
    return ErasureReceipt.objects.filter(subject__in=digests(f"{uid}/{memory_id}"), kind="memory").exists()


def people(uid: str) -> frozenset[str]:
    """Ids of this user's deleted people; one look-up in an index."""
    return frozenset(PersonRow.objects.filter(uid=uid, deleted=True).values_list("person_id", flat=True))


def without(found: Document) -> Document:
    """A document of a user (``users/{uid}/...``) as it is read."""
    gone = people(found.path.split("/")[1])
    data = cleared(found.data, gone)
    if data is found.data:
        return found
    return Document(found.path, data, found.version, found.created_at, found.updated_at)


def cleared(data: Data, gone: frozenset[str]) -> Data:
    """Return ``data`` with nobody where somebody of ``gone`` was named; the very same object where nobody was.

    Knows the segments of memories, conversations and transcripts, what a person decided (``edits``) and what was
    assigned while a conversation went on.
    """
    if not gone:
        return data
    changed: Data = {}
    for name in _LISTS:
        segments = data.get(name)
        if isinstance(segments, list) and any(_names(item, gone) for item in segments):
            changed[name] = [{**item, "person_id": None} if _names(item, gone) else item for item in segments]
    if _names(data, gone):  # the original's transcripts: a document for each segment
        changed["person_id"] = None
    for name in _LABELS:
        if (labels := _without_labels(data.get(name), gone)) is not None:
            changed[name] = labels
    edits = data.get("edits")
    if isinstance(edits, dict):
        told: dict[str, Any] = {name: _without_labels(edits.get(name), gone) for name in ("speakers", "segments")}
        told["changes"] = _without_names(edits.get("changes"), gone)
        if any(labels is not None for labels in told.values()):
            changed["edits"] = {**edits, **{name: labels for name, labels in told.items() if labels is not None}}
    return {**data, **changed} if changed else data


def names_anybody(fields: Data) -> bool:
    """Whether a write of these fields could name somebody who was deleted since: it names a person where ``cleared``
    looks for them."""
    edits = fields.get("edits")
    maps = [fields.get(name) for name in _LABELS]
    maps += [edits.get(name) for name in ("speakers", "segments")] if isinstance(edits, dict) else []
    maps += [change.get("names") for change in _changes(edits)]
    labels = [item for found in maps if isinstance(found, dict) for item in found.values()]
    segments = [item for name in _LISTS for item in fields.get(name) or ()]
    return any(isinstance(item, dict) and item.get("person_id") for item in (*labels, *segments))


def _changes(edits: Any) -> list[Any]:
    found = edits.get("changes") if isinstance(edits, dict) else None
    return [change for change in found if isinstance(change, dict)] if isinstance(found, list) else []


def _without_names(changes: Any, gone: frozenset[str]) -> list[Any] | None:
    """Operations on voices keep who somebody was, to take them back. None where nothing changes."""
    if not isinstance(changes, list):
        return None
    told = [_without_labels(change.get("names"), gone) if isinstance(change, dict) else None for change in changes]
    if all(names is None for names in told):
        return None
    nobody = {"is_user": False, "person_id": None}
    return [
        change if names is None
        else {**change, "names": {name: item if name in names else nobody for name, item in change["names"].items()}}
        for change, names in zip(changes, told, strict=True)
    ]  # fmt: skip


def _names(item: Any, gone: frozenset[str]) -> bool:
    return isinstance(item, dict) and item.get("person_id") in gone


def _without_labels(labels: Any, gone: frozenset[str]) -> Mapping[str, Any] | None:
    """None where nothing changes. That somebody who is gone spoke is no decision any more."""
    if not isinstance(labels, dict) or not any(_names(item, gone) for item in labels.values()):
        return None
    return {key: item for key, item in labels.items() if not _names(item, gone)}
