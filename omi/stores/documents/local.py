"""The local twin of Firestore: one table of the Django database, safe with several processes.

SQLite: transactions are IMMEDIATE (settings), so one writer at a time sees the newest state. PostgreSQL: each path
that a transaction reads or writes is locked with an advisory lock, which also covers documents that do not exist yet.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections, transaction
from django.db.utils import InterfaceError

from omi.core.batches import batches
from omi.core.errors import ErrorKind, ProviderError, StoreError
from omi.stores.documents import local_query
from omi.stores.documents.base import (
    AlreadyExists,
    Data,
    Document,
    NotFound,
    OrderBy,
    ReadAfterWrite,
    Transaction,
    VersionConflict,
    Where,
    Write,
)
from omi.stores.documents.local_rows import CHANGED, one_of_many, row_of, snapshot
from omi.stores.documents.paths import collection_parts, document_parts
from omi.stores.documents.values import apply_fields, check_size, clean, clean_fields
from omi.stores.documents.writes import checked
from omi.stores.models import LocalDocument

T = TypeVar("T")
VENDOR = "local documents"
DELETED_AT_ONCE = 200
"""Documents of one transaction where a whole tree goes: a user's may be a hundred thousand."""
ATTEMPTS = 8
"""Tries of a transaction that lost to others (deadlock, serialisation, lock time-out) before it gives up."""


class LocalDocuments:
    """The document store in the Django database."""

    name = "local"

    def __init__(self, using: str = DEFAULT_DB_ALIAS) -> None:
        self._using = using

    # --- reading

    def get(self, path: str) -> Document | None:
        document_parts(path)
        with _mapped():
            row = self._row(path)
        return snapshot(row) if row else None

    def get_many(self, paths: Sequence[str]) -> dict[str, Document]:
        for path in paths:
            document_parts(path)
        found: dict[str, Document] = {}
        with _mapped():
            for part in batches(paths, 500):
                for row in self._rows().filter(pk__in=part):
                    found[row.path] = one_of_many(row)
        return {path: found[path] for path in paths if path in found}

    def query(
        self,
        collection: str,
        *,
        where: Sequence[Where] = (),
        order_by: Sequence[OrderBy] = (),
        limit: int | None = None,
        offset: int = 0,
        start_after: Document | None = None,
    ) -> list[Document]:
        collection_parts(collection)
        with _mapped():
            if not (where or order_by or limit or offset or start_after):
                return self._whole(collection)
            return local_query.run(
                self._rows().filter(collection=collection), where, order_by, limit, offset, start_after
            )

    def count(self, collection: str, *, where: Sequence[Where] = ()) -> int:
        collection_parts(collection)
        with _mapped():
            return local_query.count(self._rows().filter(collection=collection), where)

    def collections(self, path: str) -> list[str]:
        document_parts(path)
        with _mapped():
            return self._children(path)

    def document_ids(self, collection: str) -> list[str]:
        collection_parts(collection)
        with _mapped():
            return self._children(collection)

    # --- writing

    def create(self, path: str, data: Mapping[str, Any]) -> Document:
        [write] = checked([Write("create", path, dict(data))])
        return self._atomic(lambda: snapshot(self._write(write)))

    def set(self, path: str, data: Mapping[str, Any]) -> Document:
        [write] = checked([Write("set", path, dict(data))])
        return self._atomic(lambda: snapshot(self._write(write)))

    def update(self, path: str, fields: Mapping[str, Any], *, if_version: str | None = None) -> Document:
        document_parts(path)
        clean_fields(fields)
        return self._atomic(lambda: snapshot(self._write(Write("update", path, dict(fields)), if_version)))

    def delete(self, path: str, *, recursive: bool = False) -> None:
        document_parts(path)

        def remove() -> None:
            self._lock(path)
            self._rows().filter(pk=path).delete()

        self._atomic(remove)
        while recursive and self._atomic(lambda: self._remove_some(path)):
            pass  # others write in between

    def batch(self, writes: Sequence[Write]) -> None:
        whole = checked(writes)
        if whole:
            self._atomic(lambda: self._apply(whole))

    def transaction(self, function: Callable[[Transaction], T]) -> T:
        def run() -> T:
            current = _LocalTransaction(self)
            result = function(current)
            self._apply(checked(current.writes), current.seen)
            return result

        return self._atomic(run)

    # --- inside

    def _rows(self) -> Any:
        return LocalDocument.objects.using(self._using)

    def _row(self, path: str) -> LocalDocument | None:
        row: LocalDocument | None = self._rows().filter(pk=path).first()
        return row

    def _whole(self, collection: str) -> list[Document]:
        """Every document of a collection: the user's people, the versions of a transcript."""
        return [one_of_many(row) for row in self._rows().filter(collection=collection).order_by("path")]

    def _children(self, path: str) -> list[str]:
        """The next part of every path under this one."""
        found = self._below(path).values_list("path", flat=True)
        return sorted({below[len(path) + 1 :].split("/", 1)[0] for below in found})

    def _below(self, path: str) -> Any:
        """Everything under a path: "/" and "0" are neighbours in byte order."""
        return self._rows().filter(pk__gt=f"{path}/", pk__lt=f"{path}0")

    def _remove_some(self, path: str) -> int:
        some = list(self._below(path).order_by("pk").values_list("pk", flat=True)[:DELETED_AT_ONCE])
        return int(self._rows().filter(pk__in=some).delete()[0]) if some else 0

    def _apply(self, writes: Sequence[Write], seen: Mapping[str, LocalDocument | None] | None = None) -> None:
        """Writes that ``checked`` has given. ``seen``: what the transaction has read, and locked, already."""
        if len(writes) > 1 and all(write.kind == "create" for write in writes):
            self._create_all(writes)
            return
        known = dict(seen or {})
        for write in writes:
            self._write(write, known=known)
            known.pop(write.path, None)

    def _create_all(self, writes: Sequence[Write]) -> None:
        """An import: two statements instead of two per document."""
        paths = sorted({write.path for write in writes})
        self._lock(*paths)
        if len(paths) < len(writes) or self._rows().filter(pk__in=paths).exists():
            raise AlreadyExists("there is a document at one of the paths already")
        self._rows().bulk_create([row_of(write.path, write.data or {}, None) for write in writes], batch_size=100)

    def _write(
        self, write: Write, if_version: str | None = None, *, known: Mapping[str, LocalDocument | None] | None = None
    ) -> Any:
        if known is not None and write.path in known:
            current = known[write.path]
        else:
            self._lock(write.path)
            current = self._row(write.path)
        if write.kind == "delete":
            self._rows().filter(pk=write.path).delete()
            return None
        if write.kind == "create" and current is not None:
            raise AlreadyExists(f"there is a document at {write.path} already")
        if write.kind == "update":
            if current is None:
                raise NotFound(f"there is no document at {write.path}")
            if if_version is not None and str(current.version) != if_version:
                raise VersionConflict(f"{write.path} was changed since it was read")
            data = apply_fields(snapshot(current).data, clean_fields(write.data or {}))
            check_size(write.path, data)
        else:
            data = write.data or {}
        row = row_of(write.path, data, current)
        if current is None:
            row.save(force_insert=True, using=self._using)
        else:
            self._rows().filter(pk=write.path).update(**{name: getattr(row, name) for name in CHANGED})
        return row

    def _lock(self, *paths: str) -> None:
        connection = connections[self._using]
        if connection.vendor == "postgresql":
            digests = [hashlib.blake2b(path.encode(), digest_size=8).digest() for path in paths]
            numbers = [int.from_bytes(digest, "big", signed=True) for digest in digests]
            with connection.cursor() as cursor:  # in the order given
                cursor.execute("SELECT pg_advisory_xact_lock(number) FROM unnest(%s::bigint[]) AS number", [numbers])

    def _atomic(self, function: Callable[[], T]) -> T:
        """Within somebody else's transaction a conflict cannot be retried: it has spoilt that transaction."""
        attempts = 1 if connections[self._using].in_atomic_block else ATTEMPTS
        for attempt in range(1, attempts + 1):
            try:
                with _mapped(), transaction.atomic(using=self._using):
                    return function()
            except ProviderError as error:
                if error.code != "contention" or attempt == attempts:
                    raise
            time.sleep(random.uniform(0.5, 1.5) * min(0.02 * 2**attempt, 1.0))
        raise AssertionError("unreachable")


class _LocalTransaction:
    def __init__(self, documents: LocalDocuments) -> None:
        self._documents = documents
        self.writes: list[Write] = []
        self.seen: dict[str, LocalDocument | None] = {}

    def get(self, path: str) -> Document | None:
        if self.writes:
            raise ReadAfterWrite("a transaction reads first, then writes")
        document_parts(path)
        self._documents._lock(path)
        with _mapped():
            row = self.seen[path] = self._documents._row(path)
        return snapshot(row) if row else None

    def create(self, path: str, data: Mapping[str, Any]) -> None:
        self._add("create", path, clean(data))  # a copy: what the caller changes later is not written

    def set(self, path: str, data: Mapping[str, Any]) -> None:
        self._add("set", path, clean(data))

    def update(self, path: str, fields: Mapping[str, Any]) -> None:
        clean_fields(fields)  # now, as Firestore's does: a function that goes on to raise must not hide it
        self._add("update", path, dict(fields))

    def delete(self, path: str) -> None:
        self._add("delete", path, None)

    def _add(self, kind: Any, path: str, data: Data | None) -> None:
        document_parts(path)
        self.writes.append(Write(kind, path, data))


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        conflict = getattr(error.__cause__, "sqlstate", None) in {"40001", "40P01", "55P03"} or "locked" in str(error)
        raise StoreError(
            VENDOR,
            "another writer kept the document" if conflict else "the database is out of reach",
            kind=ErrorKind.TRANSIENT,
            code="contention" if conflict else type(error).__name__,
        ) from error
