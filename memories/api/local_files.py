"""``POST /v1/sync-local-files``: a batch of offline recordings as the app sends it (docs/reference/app-protocol.md)."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.utils import extend_schema
from pydantic import BaseModel, Field
from rest_framework import viewsets
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.errors import ApiError, invalid
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.api.sync import was_captured
from memories.api.uploads import limit_upload
from memories.offline import batches, receiving
from memories.offline.models import SyncBatch, SyncFile
from omi.accounts.principal import Principal
from omi.accounts.requests import fence_of, uid_of
from omi.accounts.users import get_user
from omi.core.errors import ProviderError
from omi.core.one_line import is_one_line
from transcription.listen.request import BadRequest, language_tag

_UPLOAD = {
    "multipart/form-data": {
        "type": "object",
        "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
        "required": ["files"],
    }
}
_NAME: Final = re.compile(r"(?P<about>.*)_(?P<moment>\d{9,13})\.bin\Z")
_FRAMES: Final = re.compile(r"_fs(\d{1,4})(?:_|\Z)")
MILLISECONDS_FROM: Final = 10**10
"""A larger number in a name is in milliseconds."""
CODECS: Final = {160: "opus", 320: "opus_fs320"}
"""By samples of a frame; the app names 160 or nothing for packets of 10 ms."""


class LocalFilesTaken(BaseModel):
    """The app's form of the answer. A worker makes the memories, of which the events tell: both lists are empty.
    ``batch``: for ``GET /v1/sync/{batch}``."""

    new_memories: list[str] = Field(default_factory=list)
    updated_memories: list[str] = Field(default_factory=list)
    batch: str


class LocalFilesViewSet(viewsets.ViewSet):
    """The app's upload of recordings that it made offline."""

    parser_classes = [MultiPartParser]

    @extend_schema(
        request=_UPLOAD,
        responses={200: LocalFilesTaken, 400: Detail, 413: Detail, 422: Detail, 429: Detail, 503: Detail},
        description="Files `…_fs160_SECONDS.bin` of Opus packets, each behind its length as 4 bytes, little-endian; "
        "the number is when the recording began (Unix seconds or milliseconds). What came before is not taken twice.",
    )
    def create(self, request: Request) -> Response:
        """Take what the app recorded while it was offline."""
        limit_upload(request)
        uploads = request.FILES.getlist("files")
        if not uploads:
            raise invalid(("body", "files"), "Field required", "missing")
        if sum(item.size or 0 for item in uploads) > settings.OMI_MAX_UPLOAD_BYTES:
            raise ApiError(413, f"The upload is larger than {settings.OMI_MAX_UPLOAD_BYTES} bytes", code="too_large")
        files = [_announced(index, item) for index, item in enumerate(uploads)]
        principal = cast("Principal", request.user)
        fence = fence_of(request)
        batch = batches.create(
            principal.uid, files, device_id=None, language=_language(uid_of(request)), key=None,
            signed_in=principal.issued_at, fence=fence,
        )  # fmt: skip
        try:
            for file in batch.files.filter(state=SyncFile.State.WAITING).order_by("number"):
                _receive(file, uploads, fence)
        except Exception:
            _give_up(batch)  # the app sends all of them again, and knows of no batch that waits for the rest
            raise
        return Response(as_json(LocalFilesTaken(batch=batch.pk)))


def _announced(index: int, upload: UploadedFile[Any]) -> batches.Announced:
    """A file by its name and content. Raises ApiError: 400 where the name does not say when it was captured."""
    found = _NAME.match(upload.name or "")
    if found is None:
        raise ApiError(400, f"The name of file {index} does not end in _TIMESTAMP.bin")
    moment = int(found["moment"])
    captured = datetime.fromtimestamp(moment / 1000 if moment > MILLISECONDS_FROM else moment, UTC)
    if not was_captured(captured):
        raise ApiError(400, f"The time in the name of file {index} is none at which it can have been captured")
    frames = _FRAMES.search(found["about"])
    codec = CODECS.get(int(frames[1]) if frames else 160)
    if codec is None or "_pcm" in found["about"]:
        raise ApiError(400, f"File {index} is no Opus of 10 or 20 ms a packet, by its name")
    if not upload.size:
        raise ApiError(400, f"File {index} is empty")
    digest = hashlib.sha256()
    for piece in upload.chunks():
        digest.update(piece)
    name = "".join(character for character in str(upload.name) if is_one_line(character))[:200]
    return batches.Announced(name, captured, codec, None, upload.size, digest.hexdigest())


def _receive(file: SyncFile, uploads: Sequence[UploadedFile[Any]], fence: Any) -> None:
    """Keep a file, in as many pieces as it takes."""
    source, offset = uploads[file.number], 0
    source.seek(0)
    while data := source.read(settings.OMI_SYNC_PIECE_BYTES):
        receiving.receive(file.batch.uid, file.batch_id, file.number, offset, io.BytesIO(data), fence=fence)
        offset += len(data)


def _give_up(batch: SyncBatch) -> None:
    with contextlib.suppress(ProviderError, batches.BatchNotFound):  # it is over, and its bytes go by their time
        batches.drop(batch.uid, batch.pk)


def _language(uid: str) -> str:
    """What the user set, where it is a language that can be listened for."""
    try:
        return language_tag(get_user(uid).language or "en")
    except BadRequest:
        return "en"
