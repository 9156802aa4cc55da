"""``/v1/sync``: recordings that were captured offline, in batches whose files come in pieces (tus 1.0)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, cast

from django.conf import settings
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel, model_validator
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.errors import ApiError, invalid
from memories.api.reading import Query, body, idempotency_key, key_parameter, parameters, query
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.offline import batches, decoding, reading, receiving
from memories.offline.models import SyncBatch
from omi.accounts.principal import Principal
from omi.accounts.requests import fence_of, uid_of
from omi.core.moments import Moment
from omi.core.one_line import is_one_line
from omi.serving import admission
from transcription.audio.codecs import UnknownCodec
from transcription.listen.request import BadRequest, language_tag

TUS = {"Tus-Resumable": "1.0.0", "Cache-Control": "no-store"}
PIECE = "application/offset+octet-stream"
FIRST_YEAR = 2000
"""A device whose clock was never set is somewhere before it."""
_KEY = key_parameter("same key, same files: same batch")
_OFFSET = OpenApiParameter(
    "Upload-Offset", int, OpenApiParameter.HEADER, required=True, description="bytes that are here"
)
_RECEIPT = OpenApiParameter(
    "Upload-Offset", int, OpenApiParameter.HEADER, response=[204], description="bytes that are here now"
)


def _language(text: str) -> str:
    try:
        return language_tag(text)
    except BadRequest as error:
        raise ValueError(str(error)) from error


def _printable(text: str) -> str:
    if not is_one_line(text):
        raise ValueError("should be printable")
    return text


def was_captured(moment: datetime) -> bool:
    """Whether a recording can be of this time: the device's clock was set, and is not more than a day ahead."""
    return moment.year >= FIRST_YEAR and moment <= timezone.now() + timedelta(days=1)


def _captured(moment: datetime) -> datetime:
    if not was_captured(moment):
        raise ValueError("is no time at which this can have been captured; the device's clock may not be set")
    return moment


class NewFile(BaseModel):
    """A file that a client announces. ``captured_at``: of its first sample. ``codec``: ``file`` for a recording that
    says itself what it is (WAV, MP3, M4A, Ogg); ``opus`` and ``opus_fs320`` are packets of 10 and 20 ms, each behind
    its length as 4 bytes, little-endian; ``pcm8`` and ``pcm16`` are 16-bit samples at 8 and 16 kHz."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, AfterValidator(_printable)] = Field(default="", max_length=200)
    captured_at: Annotated[Moment, AfterValidator(_captured)]
    codec: Literal["file", "opus", "opus_fs320", "pcm8", "pcm16"]
    sample_rate: int | None = Field(default=None, ge=8000, le=48000)
    size: int = Field(ge=1, le=2**40)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _known(self) -> NewFile:
        try:
            decoding.codec_of(self.codec, self.sample_rate)
        except UnknownCodec as error:
            raise ValueError(str(error)) from error
        return self


class NewBatch(BaseModel):
    """The files that a client announces together. ``device_id`` is that of ``/listen``: what one device captured
    continues what it was heard to say live."""

    model_config = ConfigDict(extra="forbid")

    device_id: Annotated[str, AfterValidator(_printable)] | None = Field(default=None, max_length=200)
    language: Annotated[str, AfterValidator(_language)] = Field(default="en", max_length=20)
    files: list[NewFile] = Field(min_length=1, max_length=1000)


class FileShown(BaseModel):
    """A file of a batch, and what became of it. ``offset``: bytes that are here. ``heard``: all of it was received live
    or stood in another file; ``silent``: nobody speaks in it; ``refused``: no recording, ``problem`` says why.
    ``memory_ids``: what it became a part of."""

    number: int
    name: str
    captured_at: datetime
    codec: str
    size: int
    offset: int
    state: Literal["waiting", "whole", "placed", "silent", "heard", "duplicate", "refused", "missing"]
    problem: str | None
    seconds: float | None
    upload: str
    memory_ids: list[str]


class ConversationShown(BaseModel):
    """A conversation that files of the batch became a part of. ``joined``: it was there before, live. ``state``: of its
    memory; ``waiting`` until it is asked for, ``goes_on`` while the device is heard in it, ``none`` where its run made
    none."""

    processing_memory_id: str
    memory_id: str
    joined: bool
    state: Literal["waiting", "goes_on", "making", "made", "none"]


class BatchShown(BaseModel):
    """A batch of offline recordings. ``expires_at``: what is whole by then is worked on, the rest is dropped."""

    id: str
    state: Literal["receiving", "queued", "done", "expired", "failed"]
    device_id: str | None
    language: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    files: list[FileShown]
    conversations: list[ConversationShown]


class BatchList(RootModel[list[BatchShown]]):
    """A page of batches, newest first."""


class BatchQuery(Query):
    """The query of the list of batches, the newest first."""

    before: str | None = Field(default=None, max_length=40, description="the last id of the page before")
    limit: int = Field(default=20, ge=1, le=50)


class SyncViewSet(viewsets.ViewSet):
    """Batches of offline recordings. What belongs to somebody else is 404."""

    @extend_schema(
        request=NewBatch,
        parameters=[_KEY],
        responses={200: BatchShown, 409: Detail, 413: Detail, 422: Detail, 429: Detail},
        description="Announces files; each is then sent to its `upload` address. What was sent before, by its SHA-256, "
        "is `duplicate` at once. With the last byte of the last file the batch is queued.",
    )
    def create(self, request: Request) -> Response:
        """Announce the files of a batch before they are sent."""
        return _answer(announce(request, body(NewBatch, request)))

    @extend_schema(parameters=parameters(BatchQuery), responses={200: BatchList, 404: Detail, 422: Detail})
    def list(self, request: Request) -> Response:
        """The user's batches, newest first, for 90 days."""
        asked = query(BatchQuery, request)
        found = reading.page(uid_of(request), before=asked.before, limit=asked.limit)
        return Response([as_json(item) for item in shown_of(found)])

    @extend_schema(responses={200: BatchShown, 404: Detail})
    def retrieve(self, request: Request, batch_id: str) -> Response:
        """A batch with the state of each file."""
        return _answer(batches.get(uid_of(request), batch_id))

    @extend_schema(
        request=None,
        responses={200: BatchShown, 404: Detail},
        description="Has the files worked on that are whole; the others are `missing` and do not come any more.",
    )
    def finish(self, request: Request, batch_id: str) -> Response:
        """End a batch early."""
        return _answer(batches.finish(uid_of(request), batch_id))

    @extend_schema(
        responses={204: None, 404: Detail},
        description="Forgets the batch and what was sent of it; memories that were made of it stay.",
    )
    def destroy(self, request: Request, batch_id: str) -> Response:
        """Forget a batch and the files that were sent of it."""
        batches.drop(uid_of(request), batch_id)
        return Response(status=204)


class SyncFileViewSet(viewsets.ViewSet):
    """The upload of one file, by the core of tus 1.0: ``HEAD`` tells how much is here, ``PATCH`` sends what follows."""

    def offset(self, request: Request, batch_id: str, number: int) -> Response:
        """How much of the file is here."""
        found = batches.file(uid_of(request), batch_id, min(number, 2**31))
        told = {"Upload-Offset": str(found.offset), "Upload-Length": str(found.size)}
        return Response(headers={**TUS, **told})

    @extend_schema(
        request={PIECE: OpenApiTypes.BINARY},
        parameters=[_OFFSET, _RECEIPT],
        responses={204: None, 404: Detail, 409: Detail, 412: Detail, 413: Detail, 415: Detail, 422: Detail,
                   429: Detail, 503: Detail},
        description="The bytes that follow those that are here. 409: `Upload-Offset` is another (the header of the "
        "answer says which), or the file takes no more. A piece that breaks off does not count. 413: beyond the "
        "announced size, larger than a piece may be, or the 1,024th.",
    )  # fmt: skip
    def append(self, request: Request, batch_id: str, number: int) -> Response:
        """Send a piece of the file."""
        uid = uid_of(request)
        batches.file(uid, batch_id, min(number, 2**31))  # before anything else is said of it
        if request.headers.get("Tus-Resumable", "1.0.0") != "1.0.0":
            raise ApiError(412, "The version of tus that is spoken here is 1.0.0", headers={"Tus-Version": "1.0.0"})
        if (request.content_type or "").partition(";")[0].strip().lower() != PIECE:
            raise ApiError(415, f"The content type of a piece is {PIECE}")
        offset = request.headers.get("Upload-Offset", "")
        if not (offset.isascii() and offset.isdigit() and len(offset) <= 15):
            raise invalid(("header", "Upload-Offset"), "Should be a number of bytes", "int_parsing")
        admission.admit_upload()
        found = receiving.receive(
            uid, batch_id, number, int(offset), request._request,
            declared=int(request.META.get("CONTENT_LENGTH") or 0), fence=fence_of(request),
        )  # fmt: skip
        return Response(status=204, headers={**TUS, "Upload-Offset": str(found.offset)})

    def handle_exception(self, exc: Exception) -> Response:
        """Refusals speak tus, too."""
        answer = super().handle_exception(exc)
        for name, value in TUS.items():
            answer.headers.setdefault(name, value)
        return answer


def announce(request: Request, given: NewBatch) -> SyncBatch:
    """Announce a batch for whoever asks. Raises ApiError and BudgetSpent."""
    if len(given.files) > settings.OMI_SYNC_FILES:
        raise invalid(("body", "files"), f"There may be {settings.OMI_SYNC_FILES} files in a batch", "too_long")
    for index, item in enumerate(given.files):
        if item.size > settings.OMI_MAX_UPLOAD_BYTES:
            told = f"File {index} is larger than {settings.OMI_MAX_UPLOAD_BYTES} bytes"
            raise ApiError(413, told, code="too_large")
    key = idempotency_key(request)
    principal = cast("Principal", request.user)
    files = [batches.Announced(**item.model_dump()) for item in given.files]
    return batches.create(
        principal.uid, files, device_id=given.device_id, language=given.language, key=key,
        signed_in=principal.issued_at, fence=fence_of(request),
    )  # fmt: skip


def shown_of(found: Sequence[SyncBatch]) -> list[BatchShown]:
    """A user's batches as they are shown."""
    return [_shown(told) for told in reading.shown(found)]


def _answer(batch: SyncBatch) -> Response:
    return Response(as_json(shown_of([batch])[0]))


def _shown(told: reading.Shown) -> BatchShown:
    batch = told.batch
    plain = ("number", "name", "captured_at", "codec", "size", "offset", "state", "seconds")
    return BatchShown(
        id=batch.pk,
        state=cast("Any", batch.state),
        device_id=batch.device_id or None,
        language=batch.language,
        created_at=batch.created_at,
        expires_at=batch.expires_at,
        ended_at=batch.ended_at,
        files=[
            FileShown(
                **{name: getattr(item, name) for name in plain},
                problem=item.problem or None,
                upload=f"/v1/sync/{batch.pk}/files/{item.number}",
                memory_ids=told.memories.get(item.number, []),
            )
            for item in batch.files.all()
        ],
        conversations=[
            ConversationShown(
                processing_memory_id=item.processing_memory_id, memory_id=item.memory_id, joined=item.joined,
                state=cast("Any", told.states[item.memory_id]),
            )
            for item in batch.conversations.all()
        ],
    )  # fmt: skip
