"""Every failure as the app knows it: ``{"detail": …}`` with the original's status codes. ``REFUSALS`` says of each
exception of the project what the API answers; the pages in the browser answer with the same status.

401 is only said of a token that is missing or bad: the app signs the user out on a second one, so a store or an
identity provider that is out of reach is 503.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from pydantic import ValidationError
from rest_framework import exceptions, status
from rest_framework.response import Response

from memories import editing, postprocessing
from memories.changes import agenda, comments, healing, making, voices
from memories.document_parts import MOST_COMMENT_CHARACTERS, MOST_COMMENTS, MOST_TAGS
from memories.feedback.reports import ReportNotFound, TooMuchFeedback
from memories.labels import store as labels
from memories.labels.labelling import TooManyTags
from memories.links import shared
from memories.offline import batches, receiving
from memories.pipeline.budgets import BudgetSpent
from memories.pipeline.service import IdempotencyConflict, PipelineError, TooManyRetries
from memories.recaps.reading import RecapNotFound
from memories.repository.large import Unreadable
from memories.repository.memories import InvalidCursor, MemoryNotFound, RevisionConflict
from memories.repository.processing import ProcessingMemoryNotFound
from memories.reshaping import plans
from memories.reshaping import records as reshaping
from memories.templates import store as templates
from memories.user_events.watch import TooManyStreams
from memories.vault import BadCursor as BadVaultCursor
from memories.vocabulary import terms
from memories.webhooks import hooks
from memories.webhooks.rules import MOST_PER_USER as MOST_WEBHOOKS
from memories.webhooks.rules import BadAddress
from omi.accounts.erased import AccountErased
from omi.accounts.identity import IdentityUnavailable, InvalidToken
from omi.core.errors import ErrorKind, ProviderError
from omi.core.slots import Busy
from omi.serving.admission import NoRoom
from omi.stores.audio import AudioNotFound
from omi.stores.documents.base import AlreadyExists, TooLarge
from speakers.api.errors import Refused
from speakers.clips import BadRecording
from speakers.gallery import SampleGone
from speakers.people import InvalidName, PersonNotFound, TooManyPeople
from speakers.quality import RejectedAudio
from transcription.audio.convert import AudioError

log = structlog.get_logger(__name__)


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


def _spent(error: TooManyRetries | BudgetSpent) -> ApiError:
    return ApiError(429, str(error), headers={"Retry-After": str(math.ceil(error.seconds))})


def _provider(error: ProviderError) -> ApiError:
    if error.kind is ErrorKind.PERMANENT:
        return ApiError(502, error.message)
    return ApiError(503, error.message, headers={"Retry-After": str(max(1, round(error.retry_after or 5)))})


def _no_room(error: NoRoom) -> ApiError:
    headers = {"Retry-After": str(error.refusal.retry_after)}
    return ApiError(503, error.refusal.sentence, headers=headers, code=error.refusal.code)


def _wrong_offset(error: receiving.WrongOffset) -> ApiError:
    sentence = "The piece does not begin where the file ends that is here"
    return ApiError(409, sentence, headers={"Upload-Offset": str(error.offset)}, offset=error.offset)


def _not_possible(error: plans.NotPossible) -> ApiError:
    return SEGMENT_NOT_FOUND if error.code == "no_segment" else ApiError(409, str(error), code=error.code)


NOT_AUTHORIZED: Final = ApiError(401, "Invalid authorization token")
SEGMENT_NOT_FOUND: Final = ApiError(404, "Segment not found")
PERSON_NOT_FOUND: Final = ApiError(404, "Person not found", code="person_not_found")
NAME_TAKEN: Final = ApiError(409, "Another one has this name")
SOON: Final = {"Retry-After": "600"}

REFUSALS: Final[Mapping[type[Exception], ApiError | Callable[[Any], ApiError]]] = {
    ApiError: lambda error: error,
    # 401, and what looks like it
    InvalidToken: NOT_AUTHORIZED,
    AccountErased: NOT_AUTHORIZED,
    exceptions.AuthenticationFailed: NOT_AUTHORIZED,
    exceptions.NotAuthenticated: ApiError(401, "Authorization header not found"),
    IdentityUnavailable: ApiError(
        503, "The identity service cannot be reached, please try again", headers={"Retry-After": "5"}
    ),
    # Nothing of this name, or somebody else's
    MemoryNotFound: ApiError(404, "Memory not found"),
    ProcessingMemoryNotFound: ApiError(404, "Processing memory not found"),
    PersonNotFound: PERSON_NOT_FOUND,
    SampleGone: ApiError(404, "Sample not found", code="sample_not_found"),
    AudioNotFound: ApiError(404, "Memory recording not found"),
    making.NoSuchSegment: SEGMENT_NOT_FOUND,
    making.NoSuchItem: ApiError(404, "Action item not found"),
    agenda.NoSuchTask: ApiError(404, "Action item not found"),
    making.NoSuchChange: ApiError(404, "Change not found"),
    voices.NoSuchVoice: ApiError(404, "Voice or segment not found"),
    healing.NoSuchHealing: ApiError(404, "Healing not found"),
    labels.LabelNotFound: ApiError(404, "Folder or tag not found"),
    comments.CommentNotFound: ApiError(404, "Comment not found"),
    templates.TemplateNotFound: ApiError(404, "Template not found"),
    shared.LinkNotFound: ApiError(404, "There is no such link"),
    RecapNotFound: ApiError(404, "Recap not found"),
    ReportNotFound: ApiError(404, "Feedback not found"),
    reshaping.NotFound: ApiError(404, "Reshaping not found"),
    batches.BatchNotFound: ApiError(404, "Batch not found"),
    hooks.WebhookNotFound: ApiError(404, "Webhook not found"),
    editing.NoSuchTranscript: ApiError(404, "Transcript not found"),
    # It cannot be done as things stand
    IdempotencyConflict: ApiError(409, "This Idempotency-Key was used for another recording"),
    batches.AnotherRequest: ApiError(409, "This Idempotency-Key was used for other files"),
    postprocessing.ConversationGoesOn: ApiError(
        409, "The memory's conversation goes on, please try again", headers={"Retry-After": "5"}, code="under_way"
    ),
    PipelineError: lambda error: ApiError(409, str(error)[:1].upper() + str(error)[1:]),
    RevisionConflict: ApiError(409, "The memory was changed meanwhile, please read it again"),
    AlreadyExists: ApiError(409, "This was deleted, and is not made again", code="deleted"),
    editing.EmptyTranscript: ApiError(409, "This transcript is empty and cannot be shown in place of another"),
    editing.UnresolvedTargets: lambda error: ApiError(409, "Some segments do not exist", unresolved=error.missing),
    voices.WholeVoice: ApiError(409, "Choose some of the passages of one voice", code="whole_voice"),
    making.TooManyChanges: ApiError(409, f"A memory keeps {making.MOST_CHANGES} changes and {making.MOST_ITEMS} items"),
    healing.TooManyHealings: ApiError(409, f"There may be {healing.MOST_HEALINGS} healings"),
    healing.WasUndone: ApiError(409, "The healing was undone"),
    labels.NameTaken: NAME_TAKEN,
    labels.TooManyLabels: ApiError(409, f"There may be {labels.MOST_FOLDERS} folders and {labels.MOST_TAGS} tags"),
    comments.AnotherComment: ApiError(409, "This Idempotency-Key was used for another comment"),
    comments.TooManyComments: ApiError(
        409, f"A memory keeps {MOST_COMMENTS} comments with {MOST_COMMENT_CHARACTERS} characters in all"
    ),
    templates.NameTaken: NAME_TAKEN,
    templates.TooManyTemplates: ApiError(409, f"There may be {templates.MOST_TEMPLATES} templates"),
    shared.TooManyLinks: ApiError(409, f"A memory may have {shared.MOST_PER_MEMORY} links"),
    hooks.SameAddress: ApiError(409, "There is a webhook for this address"),
    hooks.TooManyWebhooks: ApiError(409, f"There may be {MOST_WEBHOOKS} webhooks"),
    hooks.StillWaiting: ApiError(409, "It still waits, or the webhook is switched off or has too much waiting"),
    plans.NotPossible: _not_possible,
    reshaping.UnderWay: ApiError(
        409, "One of these memories is being merged or split, please try again", code="under_way"
    ),
    receiving.WrongOffset: _wrong_offset,
    receiving.NotReceiving: ApiError(409, "This file takes no more bytes"),
    # Later
    Busy: lambda error: ApiError(429, str(error), headers={"Retry-After": str(error.seconds)}, code="busy"),
    TooManyRetries: _spent,
    BudgetSpent: _spent,
    TooManyStreams: ApiError(429, "Too many event streams are open", headers={"Retry-After": "15"}),
    TooMuchFeedback: ApiError(429, "That is as much as may be given on one day", headers={"Retry-After": "3600"}),
    reshaping.TooMany: ApiError(
        429,
        f"{reshaping.MOST_AT_ONCE} merges and splits are under way, please try again later",
        headers={"Retry-After": "30"},
    ),
    batches.TooManyBatches: lambda _: ApiError(
        429,
        f"There may be {settings.OMI_SYNC_BATCHES} unfinished batches, and {batches.MOST_PER_DAY} files a day",
        headers=SOON,
    ),
    batches.TooMuchWaiting: lambda _: ApiError(
        429, f"The files of unfinished batches may have {settings.OMI_SYNC_BYTES} bytes together", headers=SOON
    ),
    NoRoom: _no_room,
    ProviderError: _provider,
    # The request itself
    postprocessing.Discarded: ApiError(400, "Memory is discarded"),
    AudioError: lambda error: ApiError(413 if error.code == "too_long" else 400, error.sentence, code=error.code),
    RejectedAudio: lambda error: ApiError(400, error.sentence, code=error.code),
    BadRecording: lambda error: ApiError(400, str(error), code="broken"),
    Refused: lambda error: ApiError(error.status, error.detail, code=error.code),
    TooLarge: ApiError(413, "This is more than one document can hold", code="too_large"),
    receiving.TooManyPieces: ApiError(413, f"A file may come in {receiving.MOST_PIECES} pieces", code="too_large"),
    receiving.Longer: lambda _: ApiError(
        413,
        f"The piece goes beyond the announced size, or has more than {settings.OMI_SYNC_PIECE_BYTES} bytes",
        code="too_large",
    ),
    RequestDataTooBig: ApiError(413, "The request is too large"),
    ValidationError: lambda error: ApiError(422, fastapi_errors(error, "body")),
    InvalidName: lambda error: ApiError(422, str(error), code="invalid_name"),
    TooManyPeople: lambda error: ApiError(422, str(error), code="too_many_people"),
    InvalidCursor: lambda error: invalid(("query", "cursor"), str(error)),
    agenda.BadCursor: invalid(("query", "cursor"), "Invalid cursor"),
    healing.BadCursor: lambda error: invalid(("body", "cursor"), str(error)),
    BadVaultCursor: lambda error: ApiError(422, str(error)),
    healing.NothingToHeal: lambda error: invalid(("body", error.field), str(error)),
    TooManyTags: invalid(("body", "tag_ids"), f"A memory bears {MOST_TAGS} tags at most"),
    terms.TooManyTerms: invalid(("body", "terms"), f"There may be {terms.MOST_TERMS} terms"),
    BadAddress: lambda error: invalid(("body", "url"), str(error)),
    exceptions.ValidationError: lambda error: ApiError(422, error.detail),
    Http404: ApiError(404, "Not Found"),
    # Ours
    Unreadable: ApiError(500, "What is stored of this cannot be read; the support sees it in a list"),
}
"""What the API answers for an exception of this class or of one derived from it; the nearest class counts."""


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an exception as ``REFUSALS`` says (``settings.REST_FRAMEWORK["EXCEPTION_HANDLER"]``); None leaves it to
    Django: a logged 500."""
    told = _refusal(error, context)
    return None if told is None else Response(_content(told), status=told.status_code, headers=told.headers)


def refusal(error: Exception) -> HttpResponse:
    """Answer an error as ``exception_handler`` does, for a view outside of the REST framework; raises what nobody
    expected."""
    told = _refusal(error, {})
    if told is None:
        raise error
    return JsonResponse(_content(told), status=told.status_code, headers=told.headers)


def _content(told: ApiError) -> dict[str, Any]:
    return {"detail": told.detail, **told.more}


def _refusal(error: Exception, context: dict[str, Any]) -> ApiError | None:
    told = _told(error, context)
    if told is not None and told.status_code == status.HTTP_401_UNAUTHORIZED:
        told = ApiError(401, told.detail, headers={"WWW-Authenticate": "Bearer", **told.headers}, **told.more)
    if told is not None and told.status_code >= 500:
        view = type(context.get("view")).__name__
        log.warning("request_failed", status=told.status_code, error=type(error).__name__, view=view)
    return told


def _told(error: Exception, context: dict[str, Any]) -> ApiError | None:
    for kind in type(error).__mro__:
        found = REFUSALS.get(kind)
        if found is not None:
            return found if isinstance(found, ApiError) else found(error)
    if isinstance(error, exceptions.ParseError):
        return ApiError(422, [_unparsed(error, context)])
    if isinstance(error, exceptions.APIException):
        wait = getattr(error, "wait", None)
        headers = {"Retry-After": str(wait)} if wait else {}
        return ApiError(error.status_code, str(error.detail), headers=headers)
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
    """Answer 404 (``handler404``): also an unknown path answers as the app expects."""
    return JsonResponse({"detail": "Not Found"}, status=404)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer ``handler400`` of Django with 400 in the app's form."""
    return JsonResponse({"detail": "Bad Request"}, status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 (``handler500``); Django has logged the error with the request id."""
    return JsonResponse({"detail": "Internal Server Error"}, status=500)
