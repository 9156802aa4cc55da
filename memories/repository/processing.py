"""Processing memories: conversations that go on, ``users/{uid}/processing_memories/{id}``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from memories.mirror import rows
from memories.repository import live_segments, stored, tombstones
from memories.repository.large import FIELD, Unreadable
from memories.repository.live_segments import LivePiece
from memories.repository.memories import _plain, same_people
from memories.repository.parsing import dump, processing_from
from memories.shapes import ProcessingMemory
from omi.accounts.erased import Fence
from omi.stores import damaged
from omi.stores.documents import documents, path
from omi.stores.documents.base import AlreadyExists, Document, InvalidPath, NotFound, OrderBy, Transaction, Where
from omi.stores.documents.values import apply_fields, clean_fields


class ProcessingMemoryNotFound(LookupError):
    """No such processing memory of this user (404)."""


def processing_path(uid: str, processing_id: str) -> str:
    """Return the path of a processing memory's document."""
    return path("users", uid, "processing_memories", processing_id)


def get(uid: str, processing_id: str) -> ProcessingMemory:
    """Return the user's processing memory; raises ProcessingMemoryNotFound, Unreadable."""
    try:
        found = stored.read(processing_path(uid, processing_id))
    except InvalidPath:
        found = None
    if found is None:
        raise ProcessingMemoryNotFound("Processing memory not found")
    return read(found)


def read(found: Document) -> ProcessingMemory:
    """A conversation's document, as ``stored`` gives it, with all that belongs to it. Raises Unreadable."""
    return processing_from(tombstones.without(live_segments.whole(found)))


def append(uid: str, processing_id: str, pieces: Sequence[LivePiece]) -> str | None:
    """Write pieces of a conversation, each in the place of the one of its name; nothing else is written or read as a
    whole. The id of the memory that the conversation has become, None where it is none yet. Raises
    ProcessingMemoryNotFound: what is written below a document that was erased would stay.
    """
    where = processing_path(uid, processing_id)
    written = {piece.path(where): piece.data() for piece in pieces}
    left_out: frozenset[str] | None = None
    if any(tombstones.names_anybody(data) for data in written.values()):
        left_out = tombstones.people(uid)
        written = {name: tombstones.cleared(data, left_out) for name, data in written.items()}

    def step(transaction: Transaction) -> str | None:
        same_people(uid, left_out)
        found = transaction.get(where)
        if found is None:
            raise ProcessingMemoryNotFound("Processing memory not found")
        for name, data in written.items():
            transaction.set(name, data)
        return found.data.get("memory_id") or None

    return documents().transaction(step)


def create(uid: str, processing: ProcessingMemory) -> ProcessingMemory:
    """Repeatable: where the id is there already, what is stored wins and is returned."""
    try:
        data = tombstones.cleared(dump(processing), tombstones.people(uid))
        stored.create(processing_path(uid, processing.id), data)
    except AlreadyExists:
        return get(uid, processing.id)
    rows.record_processing(uid, processing)
    return processing


def update(uid: str, processing_id: str, fields: Mapping[str, Any]) -> ProcessingMemory:
    """Write only ``fields``. Raises ProcessingMemoryNotFound."""
    return mutate(uid, processing_id, lambda current: dict(fields))


def mutate(
    uid: str,
    processing_id: str,
    function: Callable[[ProcessingMemory], Mapping[str, Any]],
    *,
    fence: Fence | None = None,
) -> ProcessingMemory:
    """Read, decide, write if nobody wrote meanwhile (``stored.change``). ``function`` may run several times, and
    outside of the transaction; ``{}`` changes nothing. ``fence`` is called inside of it, and refuses by raising."""
    left_out: frozenset[str] | None = None
    pieces: list[Document] = []
    changed: dict[str, Any] = {}  # pieces by path

    def held(current: Transaction) -> None:
        if fence is not None:
            fence()
        same_people(uid, left_out)
        for piece in pieces:
            if piece.path in changed:
                now = current.get(piece.path)
                if now is None or now.version != piece.version:
                    raise stored.Overtaken(piece.path)

    def beside(current: Transaction) -> None:
        for name, data in changed.items():
            current.set(name, data)

    def decide(data: dict[str, Any]) -> tuple[dict[str, Any], ProcessingMemory]:
        nonlocal left_out, pieces, changed
        pieces, changed = live_segments.read(where), {}
        known = tombstones.people(uid)
        whole = live_segments.put_together(processing_id, data, pieces)
        current = processing_from(Document(where, tombstones.cleared(whole, known), "", _EPOCH, _EPOCH))
        fields = function(current)
        left_out = None
        if not fields:
            return {}, current
        plain = {name: _plain(value) for name, value in fields.items()}
        applied = tombstones.cleared(apply_fields(dump(current), clean_fields(plain)), known)
        after = ProcessingMemory.model_validate(applied)
        dumped = dump(after)
        written = {name: dumped[name] for name in {key.split(".")[0] for key in fields}}
        left_out = known if tombstones.names_anybody(written) else None
        if FIELD in written:
            written[FIELD], changed = live_segments.taken_apart(written[FIELD], pieces)
        return written, after

    try:
        where = processing_path(uid, processing_id)
        processing = stored.change(where, decide, before=held, beside=beside)
    except (NotFound, InvalidPath) as error:
        raise ProcessingMemoryNotFound("Processing memory not found") from error
    rows.record_processing(uid, processing)
    return processing


def latest_open(uid: str, device_id: str | None) -> ProcessingMemory | None:
    """This device's newest conversation, whether it has ended or not: the caller knows the gap. A damaged one is as
    good as none: what is said now begins another.

    Two devices of one user never share one.
    """
    found = documents().query(
        path("users", uid, "processing_memories"),
        where=[Where("device_id", "==", device_id)],
        order_by=[OrderBy("created_at", descending=True)],
        limit=1,
    )
    for document in stored.read_all(found):
        try:
            return read(document)
        except Unreadable as error:
            damaged.report(document.path, error)
    return None


def of_device(uid: str, device_id: str | None, *, until: datetime, limit: int) -> list[ProcessingMemory]:
    """This device's newest conversations that began before ``until``, newest first; damaged ones are left out."""
    found = documents().query(
        path("users", uid, "processing_memories"),
        where=[Where("device_id", "==", device_id), Where("created_at", "<", until)],
        order_by=[OrderBy("created_at", descending=True)],
        limit=limit,
    )
    whole = []
    for document in stored.read_all(found):
        try:
            whole.append(read(document))
        except Unreadable as error:
            damaged.report(document.path, error)
    return whole


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
