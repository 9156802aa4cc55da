"""Documents that hold a transcript: read them whole and change them in one transaction, chunks and all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from memories.repository import large
from omi.stores import damaged
from omi.stores.documents import documents
from omi.stores.documents.base import Data, Document, NotFound, Transaction

T = TypeVar("T")
READ_TRIES = 4


def read(path: str) -> Document | None:
    """The document with its list in place; one read, and one more for chunks. Raises Unreadable, which is reported."""
    try:
        return _read(path)
    except large.Unreadable as error:
        damaged.report(path, error)
        raise


def _read(path: str) -> Document | None:
    for _ in range(READ_TRIES):
        found = documents().get(path)
        if found is None:
            return None
        names = large.chunk_paths(path, found.data)
        try:
            return _whole(found, documents().get_many(names) if names else {})
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


def create(path: str, data: Data, extra: dict[str, Data] | None = None, *, before: Before | None = None) -> None:
    """Raises AlreadyExists, and what ``before`` raises. ``extra``: further documents of the same step.

    The document is packed before the transaction begins: a long list takes seconds, and others wait meanwhile.
    """
    stored, chunks = large.pack(path, data)

    def step(transaction: Transaction) -> None:
        if before is not None:
            before(transaction)
        transaction.create(path, stored)
        for name, chunk in {**chunks, **(extra or {})}.items():
            transaction.set(name, chunk)

    documents().transaction(step)


def change(path: str, function: Callable[[Data], tuple[dict[str, Any], T]], *, before: Before | None = None) -> T:
    """Read the whole document, let ``function`` say which top-level fields change, write only those: one transaction.

    ``function`` may run several times. Without fields nothing is written. Raises NotFound.
    """

    def step(transaction: Transaction) -> T:
        if before is not None:
            before(transaction)
        found = transaction.get(path)
        if found is None:
            raise NotFound(path)
        old = large.chunk_paths(path, found.data)
        chunks = {name: chunk for name in old if (chunk := transaction.get(name)) is not None}
        current = _whole(found, chunks).data
        fields, result = function(current)
        if not fields:
            return result
        if large.FIELD in fields or old:
            stored, new = large.pack(path, {**current, **fields})
            written = {name: stored[name] for name in {*fields, large.FIELD, large.CHUNKS}}
            for name in sorted(set(old) - set(new)):
                transaction.delete(name)
            for name, part in new.items():
                transaction.set(name, part)
        else:
            written = fields
        transaction.update(path, written)
        return result

    return documents().transaction(step)


def _whole(found: Document, chunks: dict[str, Document]) -> Document:
    if found.damaged:
        raise large.Unreadable(f"{found.path} is damaged")
    data = large.unpack(found.path, found.data, chunks)
    return Document(found.path, data, found.version, found.created_at, found.updated_at)
