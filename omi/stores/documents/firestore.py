"""Firestore, through firebase-admin's app. One RPC per call, with a deadline and without the client's own retries.

The client's transaction decorator live-locks under contention: each try here is one transaction with
``max_attempts=1``, and our own loop waits a growing, jittered while between tries.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from omi.core.batches import batches
from omi.core.errors import ErrorKind, ProviderError, StoreError
from omi.stores.documents.base import (
    DELETE_FIELD,
    Document,
    NotFound,
    OrderBy,
    ReadAfterWrite,
    Transaction,
    Where,
    Write,
)
from omi.stores.documents.compare import check as check_query
from omi.stores.documents.compare import field, full_order
from omi.stores.documents.firestore_errors import VENDOR, mapped
from omi.stores.documents.paths import collection_parts, document_parts
from omi.stores.documents.values import check_size, clean, clean_fields
from omi.stores.documents.writes import checked
from omi.stores.google import firebase_app

T = TypeVar("T")
TIMEOUT = 20.0
"""Seconds for one RPC; a transaction has several."""

ATTEMPTS = 8
"""Tries of a transaction; the emulator's lock time-out is 2 s, production answers sooner."""


class FirestoreDocuments:
    """The document store on Firestore."""

    name = "firestore"

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._options: dict[str, Any] = {"retry": None, "timeout": timeout}

    # --- reading

    def get(self, path: str) -> Document | None:
        with mapped():
            return _document(self._reference(path).get(**self._options))

    def get_many(self, paths: Sequence[str]) -> dict[str, Document]:
        references = [self._reference(path) for path in paths]
        found: dict[str, Document] = {}
        with mapped():
            for part in batches(references, 300):
                for snapshot in self._client().get_all(part, **self._options):
                    document = _document(snapshot)
                    if document is not None:
                        found[document.path] = document
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
        check_query(where, order_by, limit, offset)
        if limit == 0:
            return []
        with mapped():
            query = self._query(collection, where)
            query = self._ordered(query, full_order(where, order_by), start_after)
            if offset:
                query = query.offset(offset)
            if limit is not None:
                query = query.limit(limit)
            return [document for item in query.stream(**self._options) if (document := _document(item))]

    def count(self, collection: str, *, where: Sequence[Where] = ()) -> int:
        check_query(where, (), None, 0)
        with mapped():
            return int(self._query(collection, where).count().get(**self._options)[0][0].value)

    def collections(self, path: str) -> list[str]:
        with mapped():
            return sorted(item.id for item in self._reference(path).collections(**self._options))

    def document_ids(self, collection: str) -> list[str]:
        collection_parts(collection)
        with mapped():
            references = self._client().collection(collection).list_documents(page_size=300, **self._options)
            return sorted(item.id for item in references)

    # --- writing

    def create(self, path: str, data: Mapping[str, Any]) -> Document:
        cleaned = clean(data)
        reference = self._reference(path)
        check_size(path, cleaned)
        with mapped():
            result = reference.create(cleaned, **self._options)
        return Document(
            path, cleaned, _version(result.update_time), _plain(result.update_time), _plain(result.update_time)
        )

    def set(self, path: str, data: Mapping[str, Any]) -> Document:
        cleaned = clean(data)
        reference = self._reference(path)
        check_size(path, cleaned)
        with mapped():
            reference.set(cleaned, **self._options)
        return self._after_write(path)

    def update(self, path: str, fields: Mapping[str, Any], *, if_version: str | None = None) -> Document:
        reference, changed = self._reference(path), _updates(fields)
        with mapped(conflict=path if if_version is not None else None):
            option = None if if_version is None else self._client().write_option(last_update_time=_time(if_version))
            reference.update(changed, option=option, **self._options)
        return self._after_write(path)

    def delete(self, path: str, *, recursive: bool = False) -> None:
        reference = self._reference(path)
        if recursive:
            # What lies below goes first: while something is left, the document is there to be deleted again.
            for name in self.collections(path):
                self._empty(f"{path}/{name}")
        with mapped():
            reference.delete(**self._options)
        if recursive:
            # What was written below while the document was still there. Its writers look whether it is.
            for name in self.collections(path):
                self._empty(f"{path}/{name}")

    def batch(self, writes: Sequence[Write]) -> None:
        whole = checked(writes)
        if not whole:
            return
        with mapped():
            batch = self._client().batch()
            for write in whole:
                self._add(batch, write)
            batch.commit(**self._options)

    def transaction(self, function: Callable[[Transaction], T]) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._try(function)
            except ProviderError as error:
                if error.code != "contention" or attempt == ATTEMPTS:
                    raise
            # Uneven on purpose: equal waits meet again.
            time.sleep(random.uniform(0.2, 1.0) * min(0.1 * 2**attempt, 3.0))
        raise AssertionError("unreachable")

    # --- inside

    def _client(self) -> Any:
        from firebase_admin import firestore

        return firestore.client(firebase_app())

    def _reference(self, path: str) -> Any:
        document_parts(path)
        return self._client().document(path)

    def _query(self, collection: str, where: Sequence[Where]) -> Any:
        from google.cloud.firestore_v1.base_query import FieldFilter

        collection_parts(collection)
        query = self._client().collection(collection)
        for condition in where:
            value = list(condition.value) if condition.op == "in" else condition.value
            query = query.where(filter=FieldFilter(_field(condition.field), condition.op, value))
        return query

    def _ordered(self, query: Any, order: Sequence[OrderBy], start_after: Document | None) -> Any:
        """The whole order, id included, said aloud: a page can then begin behind a document that is gone."""
        for item in order:
            query = query.order_by(_field(item.field), direction=_direction(item.descending))
        if start_after is None:
            return query
        query = query.order_by("__name__", direction=_direction(bool(order) and order[-1].descending))
        position = {_field(item.field): field(start_after.data, item.field) for item in order}
        return query.start_after({**position, "__name__": self._reference(start_after.path)})

    def _after_write(self, path: str) -> Document:
        document = self.get(path)
        if document is None:
            raise NotFound(f"{path} was deleted right after it was written")
        return document

    def _empty(self, collection: str) -> None:
        for identity in self.document_ids(collection):
            self.delete(f"{collection}/{identity}", recursive=True)

    def _try(self, function: Callable[[Transaction], T]) -> T:
        transaction = self._client().transaction(max_attempts=1)
        with mapped():
            transaction._begin()
        current = _FirestoreTransaction(self, transaction)
        try:
            result = function(current)
            whole = checked(current.writes)
            with mapped():
                for write in whole:
                    self._add(transaction, write)
                transaction._commit()
        except BaseException:
            self._roll_back(transaction)
            raise
        return result

    def _roll_back(self, transaction: Any) -> None:
        """Let go of the locks now; one that cannot be let go of ends by itself (60 s idle)."""
        if transaction.in_progress:
            try:
                with mapped():
                    transaction._rollback()
            except ProviderError:
                pass

    def _add(self, batch: Any, write: Write) -> None:
        """A write that ``checked`` has given."""
        reference = self._reference(write.path)
        if write.kind == "delete":
            batch.delete(reference)
        elif write.kind == "update":
            batch.update(reference, _updates(write.data or {}))
        else:
            (batch.create if write.kind == "create" else batch.set)(reference, write.data or {})


class _FirestoreTransaction:
    def __init__(self, documents: FirestoreDocuments, transaction: Any) -> None:
        self._documents = documents
        self._transaction = transaction
        self.writes: list[Write] = []

    def get(self, path: str) -> Document | None:
        if self.writes:
            raise ReadAfterWrite("a transaction reads first, then writes")
        reference = self._documents._reference(path)
        with mapped():
            return _document(reference.get(transaction=self._transaction, **self._documents._options))

    def create(self, path: str, data: Mapping[str, Any]) -> None:
        self._append(Write("create", path, clean(data)))

    def set(self, path: str, data: Mapping[str, Any]) -> None:
        self._append(Write("set", path, clean(data)))

    def update(self, path: str, fields: Mapping[str, Any]) -> None:
        clean_fields(fields)
        self._append(Write("update", path, dict(fields)))

    def delete(self, path: str) -> None:
        self._append(Write("delete", path))

    def _append(self, write: Write) -> None:
        document_parts(write.path)
        self.writes.append(write)


def _updates(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names in the API's quoting, so that an id with hyphens may be part of one."""
    from google.cloud.firestore_v1 import DELETE_FIELD as REMOVE
    from google.cloud.firestore_v1.field_path import FieldPath

    return {
        FieldPath(*parts).to_api_repr(): REMOVE if value is DELETE_FIELD else value
        for parts, value in clean_fields(fields).items()
    }


def _direction(descending: bool) -> str:
    return "DESCENDING" if descending else "ASCENDING"


def _field(name: str) -> str:
    from google.cloud.firestore_v1.field_path import FieldPath

    return str(FieldPath(*name.split(".")).to_api_repr())


def _document(snapshot: Any) -> Document | None:
    if not snapshot.exists:
        return None
    return Document(
        snapshot.reference.path,
        clean(snapshot.to_dict() or {}),
        _version(snapshot.update_time),
        _plain(snapshot.create_time),
        _plain(snapshot.update_time),
    )


def _version(moment: Any) -> str:
    return str(moment.rfc3339())


def _time(version: str) -> Any:
    from google.api_core.datetime_helpers import DatetimeWithNanoseconds

    try:
        return DatetimeWithNanoseconds.from_rfc3339(version)
    except ValueError as error:
        raise StoreError(VENDOR, "not a version of this store", kind=ErrorKind.PERMANENT, code="version") from error


def _plain(moment: Any) -> Any:
    return clean({"at": moment})["at"]
