"""Every failure as the app knows it: ``{"detail": …}`` with the original's status codes.

401 is only said of a token that is missing or bad: the app signs the user out on a second one, so a store or an
identity provider that is out of reach is 503.
"""

from __future__ import annotations

import math
from typing import Any

import structlog
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from pydantic import ValidationError
from rest_framework import exceptions, status
from rest_framework.response import Response

from memories.pipeline.budgets import BudgetSpent
from memories.pipeline.service import IdempotencyConflict, NotRetryable, PipelineError, TooManyRetries
from memories.repository.large import Unreadable
from memories.repository.memories import InvalidCursor, MemoryNotFound, RevisionConflict
from memories.repository.processing import ProcessingMemoryNotFound
from omi.accounts.erased import AccountErased
from omi.accounts.identity import IdentityUnavailable, InvalidToken
from omi.core.errors import ErrorKind, ProviderError
from omi.core.slots import Busy
from omi.stores.audio import AudioNotFound
from omi.stores.documents.base import AlreadyExists, TooLarge
from speakers.people import PersonNotFound
from transcription.audio.convert import AudioError

log = structlog.get_logger(__name__)

Answer = tuple[int, Any, dict[str, str], dict[str, Any]]

_NOT_FOUND: dict[type[Exception], str] = {
    MemoryNotFound: "Memory not found",
    ProcessingMemoryNotFound: "Processing memory not found",
    PersonNotFound: "Person not found",
    AudioNotFound: "Memory recording not found",
}


class ApiError(Exception):
    """An answer that is not a success. ``detail`` is a sentence, or FastAPI's list of errors for a 422."""

    def __init__(self, status_code: int, detail: Any, *, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(str(detail))
        self.status_code = status_code
        self.detail = detail
        self.headers = headers or {}
        self.more = more


def invalid(location: tuple[str | int, ...], message: str, kind: str = "value_error") -> ApiError:
    """422 for one field, in FastAPI's form."""
    return ApiError(422, [{"type": kind, "loc": list(location), "msg": message}])


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """``settings.REST_FRAMEWORK["EXCEPTION_HANDLER"]``. None leaves the error to Django: a logged 500."""
    answer = _answer(error, context)
    if answer is None:
        return None
    code, detail, headers, more = answer
    if code == status.HTTP_401_UNAUTHORIZED:
        headers = {"WWW-Authenticate": "Bearer", **headers}
    if code >= 500:
        log.warning("request_failed", status=code, error=type(error).__name__, view=type(context.get("view")).__name__)
    return Response({"detail": detail, **more}, status=code, headers=headers)


def _answer(error: Exception, context: dict[str, Any]) -> Answer | None:
    if isinstance(error, ApiError):
        return error.status_code, error.detail, error.headers, error.more
    for kind, sentence in _NOT_FOUND.items():
        if isinstance(error, kind):
            return 404, sentence, {}, {}
    if isinstance(error, InvalidToken | AccountErased | exceptions.AuthenticationFailed):
        return 401, "Invalid authorization token", {}, {}
    if isinstance(error, exceptions.NotAuthenticated):
        return 401, "Authorization header not found", {}, {}
    if isinstance(error, IdentityUnavailable):
        return 503, "The identity service cannot be reached, please try again", {"Retry-After": "5"}, {}
    if isinstance(error, ProviderError):
        return _provider(error)
    if isinstance(error, AudioError):
        code = 413 if error.code == "too_long" else 400
        return code, error.sentence, {}, {"code": error.code}
    if isinstance(error, ValidationError):
        return 422, fastapi_errors(error, "body"), {}, {}
    if isinstance(error, IdempotencyConflict):
        return 409, "This Idempotency-Key was used for another recording", {}, {}
    if isinstance(error, Busy):
        return 429, str(error), {"Retry-After": str(error.seconds)}, {"code": "busy"}
    if isinstance(error, TooManyRetries | BudgetSpent):
        return 429, str(error), {"Retry-After": str(math.ceil(error.seconds))}, {}
    if isinstance(error, NotRetryable | PipelineError):
        return 409, str(error)[:1].upper() + str(error)[1:], {}, {}
    if isinstance(error, RevisionConflict):
        return 409, "The memory was changed meanwhile, please read it again", {}, {}
    if isinstance(error, AlreadyExists):
        return 409, "This was deleted, and is not made again", {}, {"code": "deleted"}
    if isinstance(error, InvalidCursor):
        return 422, [{"type": "value_error", "loc": ["query", "cursor"], "msg": str(error)}], {}, {}
    if isinstance(error, TooLarge):
        return 413, "This is more than one document can hold", {}, {"code": "too_large"}
    if isinstance(error, Unreadable):
        return 500, "What is stored of this cannot be read; the support sees it in a list", {}, {}
    return _django(error, context)


def _provider(error: ProviderError) -> Answer:
    if error.kind is ErrorKind.PERMANENT:
        return 502, error.message, {}, {}
    return 503, error.message, {"Retry-After": str(max(1, round(error.retry_after or 5)))}, {}


def _django(error: Exception, context: dict[str, Any]) -> Answer | None:
    if isinstance(error, exceptions.ParseError):
        return 422, [_unparsed(error, context)], {}, {}
    if isinstance(error, exceptions.ValidationError):
        return 422, error.detail, {}, {}
    if isinstance(error, RequestDataTooBig):
        return 413, "The request is too large", {}, {}
    if isinstance(error, Http404):
        return 404, "Not Found", {}, {}
    if isinstance(error, exceptions.APIException):
        wait = getattr(error, "wait", None)
        headers = {"Retry-After": str(wait)} if wait else {}
        return error.status_code, str(error.detail), headers, {}
    return None


def _unparsed(error: exceptions.ParseError, context: dict[str, Any]) -> dict[str, Any]:
    """What kind of body could not be read, by what the client called it."""
    request = context.get("request")
    if str(getattr(request, "content_type", "") or "").lower().startswith("multipart/"):
        said = "The form could not be read: it is cut off, or its boundary is missing or wrong"
        return {"type": "multipart_invalid", "loc": ["body"], "msg": said}
    return {"type": "json_invalid", "loc": ["body"], "msg": str(error.detail)}


def fastapi_errors(error: ValidationError, place: str) -> list[dict[str, Any]]:
    """pydantic's errors in FastAPI's form; what was sent is not repeated (it may be a transcript)."""
    return [
        {"type": item["type"], "loc": [place, *item["loc"]], "msg": item["msg"]}
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler404``: also an unknown path answers as the app expects."""
    return JsonResponse({"detail": "Not Found"}, status=404)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return JsonResponse({"detail": "Bad Request"}, status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    """``handler500``: Django has logged the error with the request id."""
    return JsonResponse({"detail": "Internal Server Error"}, status=500)
