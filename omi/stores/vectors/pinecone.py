"""Pinecone through its SDK's REST client (docs/reference/vendors.md), without the SDK's own retries.

Reads may be older than writes: nothing here waits for a write to become visible.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from django.conf import settings

from omi.core.batches import batches
from omi.core.bounded_http import bounded_transport
from omi.core.errors import ErrorKind, MissingDependency, Outcome, StoreError
from omi.core.vendor_errors import KEY_REFUSED
from omi.stores.vectors.base import Filter, InvalidVector, Match, Vector
from omi.stores.vectors.check import check_id, check_top_k, check_values, check_vector
from omi.stores.vectors.filters import check_filter

VENDOR = "pinecone"
TIMEOUT = 20.0
MAX_BATCH = 1000
MAX_BATCH_BYTES = 1_500_000
"""Under Pinecone's 2 MB per request; a float takes up to 22 bytes of JSON, 13 where it was a float32."""

_NUMBER_BYTES = 24
MAX_IDS = 200
"""Per fetch or delete."""
MAX_ADDRESS = 6000
"""Characters of the ids that one fetch puts into its address: servers refuse lines of more than 8 kB."""


class PineconeVectors:
    """The vector store on Pinecone."""

    name = VENDOR

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        self._index_of: dict[tuple[str, str], Any] = {}

    def upsert(self, vectors: Sequence[Vector], *, namespace: str) -> None:
        if not vectors:
            return
        unique = {vector.id: vector for vector in vectors}
        records = [
            {
                "id": vector.id,
                "values": [round(float(value), 8) for value in check_vector(vector)],
                "metadata": vector.metadata,
            }
            for vector in unique.values()
        ]
        for batch in batches(records, MAX_BATCH_BYTES, _weight, most=MAX_BATCH):
            with _mapped():
                self._index().upsert(vectors=batch, namespace=namespace, timeout=self._timeout)

    def query(
        self, values: Sequence[float], *, namespace: str, top_k: int, filter: Filter | None = None
    ) -> list[Match]:
        check_top_k(top_k)
        if filter is not None:
            check_filter(filter)
        array = check_values(values)
        with _mapped():
            answer = self._index().query(
                vector=array.tolist(),
                top_k=top_k,
                namespace=namespace,
                filter=dict(filter) if filter else None,
                include_values=False,
                include_metadata=True,
                timeout=self._timeout,
            )
            found = [Match(item.id, float(item.score), _metadata(item.metadata)) for item in answer.matches]
        return sorted(found, key=lambda match: (-match.score, match.id))

    def fetch(self, ids: Sequence[str], *, namespace: str) -> dict[str, Vector]:
        found: dict[str, Vector] = {}
        for part in batches(ids, MAX_ADDRESS, _in_address, most=MAX_IDS):
            with _mapped():
                answer = self._index().fetch(ids=part, namespace=namespace, timeout=self._timeout)
                for identity, record in answer.vectors.items():
                    found[identity] = Vector(identity, list(record.values), _metadata(record.metadata))
        return found

    def delete(self, ids: Sequence[str], *, namespace: str) -> None:
        for identity in ids:
            check_id(identity)
        for part in batches(ids, MAX_IDS):
            with _mapped(missing_is_fine=True):
                self._index().delete(ids=part, namespace=namespace, timeout=self._timeout)

    def delete_where(self, filter: Filter, *, namespace: str) -> None:
        check_filter(filter)
        with _mapped(missing_is_fine=True):
            self._index().delete(filter=dict(filter), namespace=namespace, timeout=self._timeout)

    def list_ids(self, *, prefix: str = "", namespace: str) -> Iterator[str]:
        pages = iter(self._index().list(prefix=prefix or None, namespace=namespace, timeout=self._timeout))
        while True:
            with _mapped():
                page = next(pages, None)
                if page is None:
                    return
                ids = [item if isinstance(item, str) else item.id for item in getattr(page, "vectors", page)]
            yield from ids

    def count(self, *, namespace: str) -> int:
        with _mapped():
            summary = self._index().describe_index_stats(timeout=self._timeout).namespaces.get(namespace)
            return 0 if summary is None else int(summary.vector_count)

    # --- inside

    def _index(self) -> Any:
        host, key = settings.PINECONE_INDEX_HOST, settings.PINECONE_API_KEY
        if not host:
            raise MissingDependency(VENDOR, "PINECONE_INDEX_HOST", "Set it to the address of the index.")
        if not key:
            raise MissingDependency(VENDOR, "PINECONE_API_KEY", "Set it to a key of the Pinecone project.")
        with self._lock:
            if (host, key) not in self._index_of:
                from pinecone import Pinecone

                index = Pinecone(api_key=key, timeout=self._timeout).Index(host=host)
                self._index_of = {(host, key): _tamed(index, self._timeout)}
            return self._index_of[(host, key)]


def _tamed(index: Any, timeout: float) -> Any:
    """SDK 10.2.0 hands ``retry_config`` to its control plane only; its data plane would sleep and try three times more,
    and it reads an answer that trickles for as long as it trickles.

    The contract counts the requests and ``tests/providers/test_deadlines.py`` the seconds, so an SDK that changes these
    places is noticed.
    """
    import httpx
    from pinecone import RetryConfig

    retrying = index._http._client._transport
    retrying._config = RetryConfig(max_retries=0)
    retrying._transport = bounded_transport(httpx, retrying._transport, timeout=timeout)
    return index


def _weight(record: dict[str, Any]) -> int:
    """Bytes as JSON, nearly: 3072 floats are some 40 to 75 kB."""
    return len(record["values"]) * _NUMBER_BYTES + 40 * 1024 * bool(record["metadata"]) // 10 + len(record["id"])


def _in_address(identity: str) -> int:
    return len("&ids=") + len(quote(identity, safe=""))


def _metadata(metadata: Any) -> dict[str, Any]:
    return dict(metadata or {})


@contextmanager
def _mapped(*, missing_is_fine: bool = False) -> Iterator[None]:
    from pinecone import errors

    try:
        yield
    except errors.NotFoundError as error:
        if missing_is_fine:  # a namespace that never was, or is empty, has nothing to delete
            return
        raise _error(error, "the index does not exist", ErrorKind.PERMANENT, Outcome.CONFIG_ERROR) from error
    except (errors.UnauthorizedError, errors.ForbiddenError) as error:
        raise _error(error, KEY_REFUSED, ErrorKind.PERMANENT, Outcome.CONFIG_ERROR) from error
    except errors.PaymentRequiredError as error:
        raise _error(error, "the account is out of credit", ErrorKind.QUOTA, Outcome.QUOTA) from error
    except (errors.RateLimitError, errors.ServiceError) as error:
        raise _error(error, "the service is busy or broken", ErrorKind.TRANSIENT, None) from error
    except errors.PineconeTimeoutError as error:
        raise _error(error, "no answer in time", ErrorKind.TRANSIENT, Outcome.TIMEOUT) from error
    except (errors.PineconeConnectionError, errors.ResponseParsingError) as error:
        raise _error(error, "out of reach", ErrorKind.TRANSIENT, None) from error
    except (errors.PineconeTypeError, errors.PineconeValueError, errors.ValidationError) as error:
        raise InvalidVector("Pinecone refuses the request") from error
    except errors.ApiError as error:
        status = getattr(error, "status_code", None) or getattr(error, "status", None)
        if status in {408, 429} or (isinstance(status, int) and status >= 500):
            raise _error(error, "the service is busy or broken", ErrorKind.TRANSIENT, None) from error
        if "dimension" in str(error).lower():
            raise InvalidVector("the index holds vectors of another dimension") from error
        raise _error(error, "the request is refused", ErrorKind.PERMANENT, Outcome.INVALID_INPUT) from error
    except errors.PineconeError as error:
        raise _error(error, "the request failed", ErrorKind.PERMANENT, None) from error


def _error(error: Exception, message: str, kind: ErrorKind, outcome: Outcome | None) -> StoreError:
    status = getattr(error, "status_code", None) or getattr(error, "status", None) or type(error).__name__
    after = getattr(error, "retry_after", None)
    return StoreError(
        VENDOR,
        message,
        kind=kind,
        code=str(status),
        retry_after=float(after) if isinstance(after, int | float) else None,
        outcome=outcome,
    )
