"""The one way to memories: ``users/{uid}/memories/{id}``. A stranger's id and a deleted one are alike: not found.

Writes change only the fields they name, inside a transaction that checks that the memory is still the one that was
read, then renew the mirror row. Photos lie in a sub-collection, as the original has them.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db import transaction

from memories.mirror import rows
from memories.repository import stored, tombstones
from memories.repository.large import Unreadable
from memories.repository.parsing import dump, memory_from
from memories.repository.photos import photo_documents, photos_of
from memories.shapes import Memory
from omi.accounts.erased import Fence
from omi.stores import damaged
from omi.stores.documents import documents, path
from omi.stores.documents.base import AlreadyExists, Document, InvalidPath, NotFound, OrderBy, Transaction, Where
from omi.stores.documents.values import apply_fields, clean_fields

MAX_LIMIT = 1000
_CREATED = "created_at"


class MemoryNotFound(LookupError):
    """No such memory of this user, or it is deleted (404)."""


class RevisionConflict(Exception):
    """The memory is newer than what the caller had read (409)."""


class InvalidCursor(ValueError):
    """The cursor is none that a list gave (422)."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of memories. ``next_cursor`` is None on the last page."""

    memories: list[Memory] = field(default_factory=list)
    next_cursor: str | None = None


def collection(uid: str) -> str:
    """Return the path of the user's collection of memories."""
    return path("users", uid, "memories")


def memory_path(uid: str, memory_id: str) -> str:
    """Return the path of a memory's document."""
    return path("users", uid, "memories", memory_id)


def get_memory(uid: str, memory_id: str) -> Memory:
    """Return the user's memory; raises MemoryNotFound (also for a deleted one), Unreadable, ProviderError."""
    memory = find_memory(uid, memory_id)
    if memory is None or memory.deleted:
        raise MemoryNotFound("Memory not found")
    return memory


def find_memory(uid: str, memory_id: str) -> Memory | None:
    """The memory whether deleted or not; None where there is nothing."""
    try:
        found = stored.read(memory_path(uid, memory_id))
    except InvalidPath:
        return None
    if found is None:
        return None
    memory = _memory(found)
    if found.data.get("photo_count") or (not memory.photos and memory.source == "openglass"):
        memory.photos = photos_of(found.path)
    return memory


def require(uid: str, memory_id: str) -> None:
    """Make sure that the memory is there and not deleted, without reading its transcript; raises MemoryNotFound."""
    found = glance(uid, memory_id)
    if found is None or found.deleted:
        raise MemoryNotFound("Memory not found")


@dataclass(frozen=True, slots=True)
class Glance:
    """What is known of a memory without reading its transcript: also of one that is damaged."""

    deleted: bool
    processing_memory_id: str | None
    deleted_at: datetime | None = None


def glance(uid: str, memory_id: str) -> Glance | None:
    """Return what is known of a memory without its transcript; None where there is nothing."""
    try:
        found = documents().get(memory_path(uid, memory_id))
    except InvalidPath:
        return None
    except Unreadable:
        return Glance(*rows.glance(uid, memory_id))
    if found is None:
        return None
    processing = found.data.get("processing_memory_id")
    at = found.data.get("deleted_at")
    return Glance(
        bool(found.data.get("deleted")),
        processing if isinstance(processing, str) else None,
        at if isinstance(at, datetime) else None,
    )


def get_memories(uid: str, memory_ids: Sequence[str]) -> dict[str, Memory]:
    """Those of ``memory_ids`` that are there, by id; two reads of the store however many. Photos are left out."""
    paths = []
    for memory_id in memory_ids:
        with contextlib.suppress(InvalidPath):
            paths.append(memory_path(uid, memory_id))
    found = list(documents().get_many(paths).values())
    return {memory.id: memory for memory in _readable(found) if not memory.deleted}


def list_memories(
    uid: str,
    limit: int = 100,
    offset: int = 0,
    cursor: str | None = None,
    include_discarded: bool = True,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page:
    """Newest first, without deleted ones; two reads of the store whatever the page's size. Photos are left out.

    ``cursor`` goes on where a page ended, however many memories came or went since; ``offset`` is the original's.
    """
    limit = max(0, min(MAX_LIMIT, limit))
    found = newest_first(uid, limit + 1, offset, cursor, include_discarded, since=since, until=until)
    more = len(found) > limit > 0
    found = found[:limit]
    return Page(_readable(found), cursor_of(found[-1]) if more else None)


def newest_first(
    uid: str,
    limit: int,
    offset: int,
    cursor: str | None,
    include_discarded: bool,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Document]:
    """Documents as they are stored, without deleted ones. Raises InvalidCursor."""
    where = [Where("deleted", "==", False)]
    if not include_discarded:
        where.append(Where("discarded", "==", False))
    if since is not None:
        where.append(Where(_CREATED, ">=", since))
    if until is not None:
        where.append(Where(_CREATED, "<", until))
    return documents().query(
        collection(uid),
        where=where,
        order_by=[OrderBy(_CREATED, descending=True)],
        limit=limit,
        offset=0 if cursor else max(0, offset),
        start_after=position(uid, cursor) if cursor else None,
    )


def require_alive(current: Transaction, uid: str, memory_id: str) -> None:
    """Make sure that the memory is there and not deleted, as this transaction sees it; raises MemoryNotFound."""
    found = current.get(memory_path(uid, memory_id))
    if found is None or found.data.get("deleted"):
        raise MemoryNotFound("Memory not found")


def create_memory(
    uid: str,
    memory: Memory,
    *,
    fence: Fence = lambda: None,
    then: Callable[[], None] | None = None,
) -> Memory:
    """Store a new memory and its row, and return it; raises AlreadyExists where the id was used before, also by a
    memory that was deleted or erased since.

    ``fence`` is called inside of the transaction; what it raises refuses the memory. ``then`` is called after the
    write, in one database transaction with it: rows that must be there with the memory. The memory is dumped, packed
    and counted before: a long one takes seconds, and on SQLite every other writer would wait.
    """
    if not memory.revision:
        memory = memory.model_copy(update={"revision": 1})
    for attempt in range(1, stored.WRITE_TRIES + 1):
        left_out = tombstones.people(uid)
        new, row = new_document(uid, memory, left_out), rows.row_values(memory)
        try:
            with transaction.atomic() if then is not None else contextlib.nullcontext():
                stored.insert(new, before=partial(may_be_made, uid, memory.id, left_out, fence))
                rows.record_memory(uid, memory, row)
                if then is not None:
                    then()
        except stored.Overtaken:
            stored.pause(attempt)
            continue
        return memory
    raise stored.contention()


def new_document(uid: str, memory: Memory, left_out: frozenset[str]) -> stored.Packed:
    """Return the memory packed for storage, its photos beside it and without the names of people in ``left_out``."""
    where = memory_path(uid, memory.id)
    data = tombstones.cleared(dump(memory), left_out)
    photos = photo_documents(where, memory.id, data.pop("photos"))
    told = {"photos": [], "photo_count": len(photos), **({"photo_size": rows.photo_size(memory)} if photos else {})}
    return stored.packed(where, {**data, **told}, photos)


def may_be_made(uid: str, memory_id: str, left_out: frozenset[str], fence: Fence, current: Transaction) -> None:
    """Make sure within the transaction that the memory may be stored; raises AlreadyExists where it or the account was
    erased, and what ``fence`` and ``same_people`` raise."""
    fence()
    same_people(uid, left_out)
    # Read here: a store that looks for conflicts refuses the commit where the account is erased meanwhile.
    account = current.get(path("users", uid))
    if tombstones.was_erased(uid, memory_id) or (account is not None and account.data.get("account_deleted")):
        raise AlreadyExists("this memory was erased")


def same_people(uid: str, left_out: frozenset[str] | None) -> None:
    """Make sure that nobody was deleted since a write was computed, which may name them; raises Overtaken.

    ``left_out``: the deleted people that the write knew of; None where it names nobody.
    """
    if left_out is not None and tombstones.people(uid) != left_out:
        raise stored.Overtaken(path("users", uid))


def update_memory(
    uid: str,
    memory_id: str,
    fields: Mapping[str, Any],
    *,
    if_revision: int | None = None,
    unless_deleted: bool = True,
) -> Memory:
    """Write only ``fields`` (dotted names reach into maps). Raises MemoryNotFound, RevisionConflict."""
    return mutate_memory(
        uid, memory_id, lambda memory: dict(fields), if_revision=if_revision, unless_deleted=unless_deleted
    )


def mutate_memory(
    uid: str,
    memory_id: str,
    function: Callable[[Memory], Mapping[str, Any]],
    *,
    if_revision: int | None = None,
    unless_deleted: bool = True,
    fence: Fence | None = None,
) -> Memory:
    """Read, decide, write if nobody wrote meanwhile (``stored.change``): ``function`` gives the fields to change,
    ``{}`` for none. It may be run several times, and outside of the transaction, so it has no other effect.

    ``fence`` is called inside of the transaction, also where nothing changes; what it raises refuses the write. Returns
    the memory as it is afterwards.
    """
    left_out: frozenset[str] | None = None

    def held(current: Transaction) -> None:
        if fence is not None:
            fence()
        same_people(uid, left_out)

    def decide(data: dict[str, Any]) -> tuple[dict[str, Any], Memory]:
        nonlocal left_out
        known = tombstones.people(uid)
        memory = memory_from(Document(where, tombstones.cleared(data, known), "", _EPOCH, _EPOCH))
        if memory.deleted and unless_deleted:
            raise MemoryNotFound("Memory not found")
        if if_revision is not None and memory.revision != if_revision:
            raise RevisionConflict(f"revision {memory.revision}, not {if_revision}")
        fields = function(memory)
        written, after = _changed(memory, fields, known) if fields else ({}, memory)
        left_out = known if tombstones.names_anybody(written) else None
        return written, after

    try:
        where = memory_path(uid, memory_id)
        memory = stored.change(where, decide, before=held)
    except (NotFound, InvalidPath) as error:
        raise MemoryNotFound("Memory not found") from error
    rows.record_memory(uid, memory)
    return memory


def delete_memory(uid: str, memory_id: str) -> None:
    """Mark as deleted: from now on nobody finds it. What hangs on it is removed by ``memories.privacy.erasure``."""
    marks: dict[str, Any] = {"deleted": True, "deleted_at": datetime.now(UTC)}
    try:
        update_memory(uid, memory_id, marks)
    except Unreadable:  # damaged, and no less its owner's to delete
        where = memory_path(uid, memory_id)
        try:
            documents().update(where, marks)
        except Unreadable:  # not even a field of it can be changed: what its row knows takes its place
            documents().set(where, {**marks, **rows.remembered(uid, memory_id)})
        rows.mark_deleted(uid, memory_id, marks["deleted_at"])


def _changed(memory: Memory, fields: Mapping[str, Any], left_out: frozenset[str]) -> tuple[dict[str, Any], Memory]:
    """The top-level fields to write, checked and dumped by the shape, and the memory that comes out."""
    plain = {name: _plain(value) for name, value in fields.items()}
    after = apply_fields(dump(memory), clean_fields(plain))
    after = tombstones.cleared(after, left_out)
    after["revision"] = memory.revision + 1
    result = Memory.model_validate(after)
    roots = {name.split(".")[0] for name in fields} | {"revision"}
    return result.model_dump(mode="python", include=roots - {"photos"}), result


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="python")
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _readable(found: list[Document]) -> list[Memory]:
    """One broken document hides no other from its owner; it is counted and logged."""
    memories: list[Memory] = []
    if not found:
        return memories
    left_out = tombstones.people(found[0].path.split("/")[1])
    for document in stored.read_all(found):
        try:
            memories.append(memory_from(replace(document, data=tombstones.cleared(document.data, left_out))))
        except Unreadable as error:
            damaged.report(document.path, error)
    return memories


def _memory(document: Document) -> Memory:
    """Raises Unreadable, which is reported. Deleted people are not named."""
    try:
        return memory_from(tombstones.without(document))
    except Unreadable as error:
        damaged.report(document.path, error)
        raise


def cursor_of(last: Document) -> str:
    """Return from where the next page goes on after one that ended with this document."""
    moment = last.data[_CREATED].isoformat()
    return base64.urlsafe_b64encode(json.dumps([moment, last.id]).encode()).decode().rstrip("=")


def moment_of(uid: str, cursor: str) -> datetime:
    """Return when the last memory of the cursor's page was created. Raises InvalidCursor."""
    return position(uid, cursor).created_at


def position(uid: str, cursor: str) -> Document:
    """The memory that ended the page, as far as a cursor knows it. Raises InvalidCursor."""
    try:
        text = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        moment, identity = json.loads(text)
        created = datetime.fromisoformat(moment)
        where = memory_path(uid, identity)
        if created.tzinfo is None:
            raise InvalidCursor("Invalid cursor")
    except (ValueError, TypeError, binascii.Error, UnicodeError) as error:
        raise InvalidCursor("Invalid cursor") from error
    return Document(where, {_CREATED: created}, "", created, created)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
