"""Documents that hold a transcript: read them whole and change them in one transaction, chunks and all."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from memories.repository import large
from omi.core.errors import ErrorKind, StoreError
from omi.stores import damaged
from omi.stores.documents import documents
from omi.stores.documents.base import Data, Document, DocumentError, NotFound, Transaction

T = TypeVar("T")
READ_TRIES = 4

WRITE_TRIES = 12
"""Tries of a write that others overtook between its read and its transaction, with growing, uneven waits (up to 1.5 s).
Of several writers of one document one wins in every round."""


class Overtaken(DocumentError):
    """What a write was computed from is no longer so: read again, compute again."""


def read(path: str) -> Document | None:
    """The document with its list in place; one read, and one more for chunks. Raises Unreadable, which is reported."""
    try:
        found = _read(path)
    except large.Unreadable as error:
        damaged.report(path, error)
        raise
    return found[1] if found is not None else None


def _read(path: str) -> tuple[Document, Document] | None:
    """The document as it is stored, and with its list in place."""
    for _ in range(READ_TRIES):
        found = documents().get(path)
        if found is None:
            return None
        names = large.chunk_paths(path, found.data)
        try:
            return found, _whole(found, documents().get_many(names) if names else {})
        except large.Torn:
            continue  # somebody wrote between the two reads
    raise large.Unreadable(f"chunks of {path} never fitted")


def read_all(found: Sequence[Document]) -> list[Document]:
    """What a query gave, with the lists in place: one more read for all chunks together.

    One that is damaged hides no other: it is left out, and reported.
    """
    return [document for document, _ in read_each(found) if document is not None]


def read_each(found: Sequence[Document]) -> Iterator[tuple[Document | None, str]]:
    """As ``read_all``, in the order of ``found``: (document, "") or (None, id) of one that is damaged. One that is gone
    by now is (None, "")."""
    names = []
    for document in found:
        with contextlib.suppress(large.Unreadable):
            names += large.chunk_paths(document.path, document.data)
    chunks = documents().get_many(names) if names else {}
    for document in found:
        try:
            yield _whole(document, chunks), ""
        except large.Torn:
            try:
                yield read(document.path), ""
            except large.Unreadable:
                yield None, document.id
        except large.Unreadable as error:
            damaged.report(document.path, error)
            yield None, document.id


Before = Callable[[Transaction], None]
"""What is looked at in the transaction before anything is written; raises to refuse the write."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A new document, checked and packed: what is left to do is to write it. ``beside``: its chunks, and whatever else
    is written in the same step, by path."""

    path: str
    data: Data
    beside: dict[str, Data] = field(default_factory=dict)


def packed(path: str, data: Data, extra: dict[str, Data] | None = None) -> Packed:
    """Pack a document that may hold a long list for storage; raises Unreadable for a list that is too large,
    InvalidData. ``extra``: further documents of the same step.

    A long list takes seconds, and on SQLite every other writer waits for a transaction: call it outside of one.
    """
    stored, chunks = large.pack(path, data)
    return Packed(path, stored, {**chunks, **(extra or {})})


def insert(new: Packed, *, before: Before | None = None) -> None:
    """Create a packed document in one transaction; raises AlreadyExists, and what ``before`` raises."""

    def step(transaction: Transaction) -> None:
        if before is not None:
            before(transaction)
        transaction.create(new.path, new.data)
        for name, data in new.beside.items():
            transaction.set(name, data)

    documents().transaction(step)


def create(path: str, data: Data, *, before: Before | None = None) -> None:
    """Pack and insert. Raises AlreadyExists, and what ``before`` raises."""
    insert(packed(path, data), before=before)


def change(
    path: str,
    function: Callable[[Data], tuple[dict[str, Any], T]],
    *,
    before: Before | None = None,
    beside: Before | None = None,
) -> T:
    """Read the whole document, let ``function`` say which top-level fields change, and write only those, if the
    document is still the one that was read; else begin again.

    All that takes time with a long list (unpacking, ``function``, packing) comes before the transaction: others write
    meanwhile. The transaction asks ``before``, compares the version and writes. ``before`` may raise Overtaken, too.
    ``function`` may run several times, and holds no lock: what must hold at the time of the write belongs into
    ``before``. ``beside`` writes further documents in the same transaction. Without fields nothing is written, and only
    ``before`` is asked. Raises NotFound, Unreadable, and StoreError (transient, code ``contention``) where the others
    kept winning.
    """
    for attempt in range(1, WRITE_TRIES + 1):
        read = _read(path)
        if read is None:
            raise NotFound(path)
        found, whole = read
        fields, result = function(whole.data)
        if not fields and before is None:
            return result
        written, new = _packed_change(path, whole.data, fields)
        left = sorted(set(large.chunk_paths(path, found.data)) - set(new)) if large.FIELD in fields else []

        def step(
            transaction: Transaction,
            version: str = found.version,
            written: Data = written,
            new: dict[str, Data] = new,
            left: list[str] = left,
        ) -> None:
            if before is not None:
                before(transaction)
            if not written:
                return
            now = transaction.get(path)
            if now is None:
                raise NotFound(path)
            if now.version != version:
                raise Overtaken(path)
            for name in left:
                transaction.delete(name)
            for name, part in new.items():
                transaction.set(name, part)
            transaction.update(path, written)
            if beside is not None:
                beside(transaction)

        try:
            documents().transaction(step)
        except Overtaken:
            pause(attempt)
            continue
        return result
    raise contention()


def contention() -> StoreError:
    """The others kept winning: transient, and worth another try later."""
    vendor = f"{documents().name} documents"
    return StoreError(vendor, "another writer kept the document", kind=ErrorKind.TRANSIENT, code="contention")


def pause(attempt: int) -> None:
    """Between two tries of a write; uneven, since equal waits meet again."""
    time.sleep(random.uniform(0.5, 1.5) * min(0.01 * 2**attempt, 1.0))


def _packed_change(path: str, current: Data, fields: dict[str, Any]) -> tuple[Data, dict[str, Data]]:
    """What is written into the document, and its new chunks. A list that does not change stays where it is."""
    if large.FIELD not in fields:
        return fields, {}
    stored, chunks = large.pack(path, {**current, **fields})
    return {name: stored[name] for name in {*fields, large.FIELD, large.CHUNKS}}, chunks


def _whole(found: Document, chunks: dict[str, Document]) -> Document:
    if found.damaged:
        raise large.Unreadable(f"{found.path} is damaged")
    data = large.unpack(found.path, found.data, chunks)
    return Document(found.path, data, found.version, found.created_at, found.updated_at)
