"""Uploads go to disk while they are read, and stop at the limit."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from rest_framework.request import Request

from memories.api.errors import ApiError
from omi.serving import admission

_FRAMING = 64 * 1024
"""Bytes of multipart headers that a body may have beside the file."""


class LimitedUploadHandler(TemporaryFileUploadHandler):
    """Refuses at the declared length, and at the first byte too much where the declaration was wrong."""

    def __init__(self, request: Any, limit: int) -> None:
        super().__init__(request)
        self.limit = limit
        self.received = 0

    def handle_raw_input(
        self, input_data: Any, META: Any, content_length: int, boundary: Any, encoding: Any = None
    ) -> None:
        if content_length > self.limit + _FRAMING:
            raise too_large(self.limit)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.received += len(raw_data)
        if self.received > self.limit:
            self.upload_interrupted()
            raise too_large(self.limit)
        super().receive_data_chunk(raw_data, start)


def limit_upload(request: Request, limit: int | None = None) -> None:
    """Call before the request's files are first touched. ``limit`` in bytes, ``OMI_MAX_UPLOAD_BYTES`` by default.
    Raises NoRoom where the server has no room for more."""
    admission.admit_upload()
    chosen = settings.OMI_MAX_UPLOAD_BYTES if limit is None else limit
    request._request.upload_handlers = [LimitedUploadHandler(request._request, chosen)]


def too_large(limit: int) -> ApiError:
    """Return the refusal (413) of an upload of more than ``limit`` bytes."""
    return ApiError(413, f"The upload is larger than {limit} bytes", code="too_large")
