"""Firestore's errors as ours (docs/reference/vendors.md: which are tried again)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from omi.core.errors import ErrorKind, Outcome, StoreError
from omi.stores.documents.base import AlreadyExists, InvalidData, NotFound, TooLarge, VersionConflict

VENDOR = "firestore"


@contextmanager
def mapped(*, conflict: str | None = None) -> Iterator[None]:
    """Raise Firestore's errors as the port's. ``conflict``: the path whose version was given; a failed precondition
    then means that it was changed."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except exceptions.AlreadyExists as error:
        raise AlreadyExists("there is a document at this path already") from error
    except exceptions.NotFound as error:
        raise NotFound("there is no document at this path") from error
    except exceptions.FailedPrecondition as error:
        if conflict is not None:
            raise VersionConflict(f"{conflict} was changed since it was read") from error
        raise StoreError(
            VENDOR,
            "the query needs an index: deploy firestore.indexes.json",
            kind=ErrorKind.PERMANENT,
            code="FAILED_PRECONDITION",
            outcome=Outcome.CONFIG_ERROR,
        ) from error
    except exceptions.InvalidArgument as error:
        text = str(error).lower()
        if "size" in text or "too large" in text or "maximum" in text:
            raise TooLarge("over Firestore's limit for one document or request") from error
        raise InvalidData("Firestore refuses a value of the document") from error
    except (exceptions.Aborted, exceptions.Conflict) as error:
        raise _error("another writer kept the document", ErrorKind.TRANSIENT, "contention") from error
    except (exceptions.PermissionDenied, exceptions.Unauthenticated, exceptions.Forbidden) as error:
        raise StoreError(
            VENDOR,
            "access to the project's Firestore is refused",
            kind=ErrorKind.PERMANENT,
            code=_code(error),
            outcome=Outcome.CONFIG_ERROR,
        ) from error
    except exceptions.DeadlineExceeded as error:
        raise StoreError(
            VENDOR, "no answer in time", kind=ErrorKind.TRANSIENT, code=_code(error), outcome=Outcome.TIMEOUT
        ) from error
    except (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError) as error:
        raise _error("out of reach", ErrorKind.TRANSIENT, _code(error)) from error


def _code(error: Exception) -> str:
    status = getattr(error, "grpc_status_code", None)
    return str(getattr(status, "name", "") or type(error).__name__)


def _error(message: str, kind: ErrorKind, code: str) -> StoreError:
    return StoreError(VENDOR, message, kind=kind, code=code)
