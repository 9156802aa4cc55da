"""The documents port: a Firestore-shaped store, one method per thing that the project needs of it.

A path is ``collection/id/collection/id...`` (even number of parts), a collection path has an odd number. Values are
what JSON has plus ``datetime`` (aware, UTC) and ``bytes``. Adapters: ``local`` (the ORM) and ``firestore``. The
contract is ``tests/contracts/test_documents.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol, TypeVar

T = TypeVar("T")
Data = dict[str, Any]
Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "array_contains"]


class _Sentinel:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name

    def __deepcopy__(self, memo: object) -> _Sentinel:
        return self

    def __copy__(self) -> _Sentinel:
        return self


DELETE_FIELD: Final = _Sentinel("DELETE_FIELD")
"""As a value in ``update``: remove this field."""


class DocumentError(Exception):
    """Base of what a documents adapter raises (besides omi.core.errors.ProviderError for the store being out of
    reach)."""


class AlreadyExists(DocumentError):
    """A document cannot be made: ``create`` found a document at the path."""


class NotFound(DocumentError):
    """A document cannot be changed: ``update`` found no document at the path."""


class VersionConflict(DocumentError):
    """The document is not (or no longer) at the version that the caller had read."""


class InvalidPath(DocumentError, ValueError):
    """The path cannot name a document: empty part, dot, slash, NUL, ``__x__`` or over 1,500 bytes."""


class InvalidData(DocumentError, ValueError):
    """A value that a document cannot hold (naive datetime, array in array, integer over 64 bits...), or a bad field."""


class TooLarge(DocumentError):
    """Over the store's limit: 1 MiB for one document, 500 writes for one batch or transaction."""


class Unreadable(DocumentError):
    """What is stored is damaged, encrypted for another server, or absurdly large. Never read as an empty document."""


class ReadAfterWrite(DocumentError):
    """A transaction's function read after its first write; Firestore cannot do that."""


@dataclass(frozen=True, slots=True)
class Document:
    """A snapshot. ``version`` is opaque: give it back as ``if_version``."""

    path: str
    data: Data
    version: str
    created_at: datetime
    updated_at: datetime
    damaged: bool = False
    """Only in what ``query`` and ``get_many`` give: the document is there and cannot be read. ``data`` is empty but for
    the field that a page goes on from (``created_at``)."""

    @property
    def id(self) -> str:
        return self.path.rsplit("/", 1)[1]


@dataclass(frozen=True, slots=True)
class Where:
    """A condition of a query. ``field`` may be dotted: ``structured.category``."""

    field: str
    op: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class OrderBy:
    """One field by which a query orders its documents."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a batch. ``update`` takes dotted field names and DELETE_FIELD; ``set`` replaces the document."""

    kind: Literal["create", "set", "update", "delete"]
    path: str
    data: Data | None = None


class Transaction(Protocol):
    """Reads first, then writes; the function may be run again, so it must have no other effect."""

    def get(self, path: str) -> Document | None: ...

    def create(self, path: str, data: Mapping[str, Any]) -> None: ...

    def set(self, path: str, data: Mapping[str, Any]) -> None: ...

    def update(self, path: str, fields: Mapping[str, Any]) -> None: ...

    def delete(self, path: str) -> None: ...


class Documents(Protocol):
    """Blocking calls; async code uses ``omi.stores.documents.aio`` (threads) on top of the same object."""

    name: str

    def get(self, path: str) -> Document | None:
        """Return the document at the path, None where there is none; raises Unreadable for a damaged one, as every call
        does that needs the contents of one document."""

    def get_many(self, paths: Sequence[str]) -> dict[str, Document]: ...

    def create(self, path: str, data: Mapping[str, Any]) -> Document: ...

    def set(self, path: str, data: Mapping[str, Any]) -> Document:
        """Replace the whole document (or make it)."""

    def update(self, path: str, fields: Mapping[str, Any], *, if_version: str | None = None) -> Document:
        """Write only ``fields`` (dotted names reach into maps). What is returned was read at or after the write."""

    def delete(self, path: str, *, recursive: bool = False) -> None:
        """Deleting what is not there is no error. ``recursive``: everything below as well."""

    def query(
        self,
        collection: str,
        *,
        where: Sequence[Where] = (),
        order_by: Sequence[OrderBy] = (),
        limit: int | None = None,
        offset: int = 0,
        start_after: Document | None = None,
    ) -> list[Document]: ...

    def count(self, collection: str, *, where: Sequence[Where] = ()) -> int: ...

    def collections(self, path: str) -> list[str]:
        """Names of the sub-collections of a document (which itself need not exist)."""

    def document_ids(self, collection: str) -> list[str]:
        """Ids in a collection, those of documents that exist only as parents included."""

    def batch(self, writes: Sequence[Write]) -> None:
        """Do all writes or none, up to 500."""

    def transaction(self, function: Callable[[Transaction], T]) -> T:
        """Run ``function`` until its reads and writes form one atomic step (jittered retries around conflicts).

        Raises what ``function`` raises, AlreadyExists/NotFound from its writes, and ProviderError (transient,
        code ``contention``) when the others kept winning.
        """
