"""Too large a request is refused while it is read.

Daphne takes a whole body onto disk before the application hears of the request, so a limit in a view comes too late.
This hook counts in Twisted: at the declared length, or at the first byte too much where none was declared (chunked),
it answers 413 and throws away what still comes.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from typing import Any

import structlog
from django.conf import settings

from omi.core import open_files
from omi.serving.body import Piecewise

log = structlog.get_logger(__name__)

FRAMING = 64 * 1024
"""Bytes of multipart headers beside the file."""
HEALTH = (b"/healthz", b"/readyz")
"""Answered as long as there is a descriptor at all."""
FULL = {"detail": "The server has too many open connections, please try again.", "code": "server_full"}
LINGER = 30.0
"""Seconds that a client which only listens after sending may still send; a reset would hide the answer from it."""


def install() -> None:
    """Replace daphne's request class by one that counts, and whose body ``body.drawing`` gives out in pieces.

    Does nothing under another server.
    """
    if "daphne.server" not in sys.modules:
        return
    open_files.raise_limit()
    from daphne import http_protocol

    if not issubclass(http_protocol.WebRequest, _Counting):
        http_protocol.WebRequest = type("LimitedWebRequest", (_Counting, Piecewise, http_protocol.WebRequest), {})


class _Counting:
    """Mixed into ``daphne.http_protocol.WebRequest``."""

    channel: Any
    path: bytes
    content: Any
    requestHeaders: Any
    server: Any
    _received = 0
    _refused = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Twisted would read every form into memory and parse it in the event loop, while all sockets of the process
        # wait (150 MB: 2.1 GB and 6 s), for arguments that nobody asks for. Django parses it, from disk, in a thread.
        super().__init__(*args, **{**kwargs, "parsePOSTFormSubmission": False})

    def gotLength(self, length: int | None) -> None:
        if length is not None and length > self._limit():
            self.content = io.BytesIO()
            self._refuse(length)
            return
        super().gotLength(length)  # type: ignore[misc]

    def handleContentChunk(self, data: bytes) -> None:
        self._received += len(data)
        if self._refused:
            return
        if self._received > self._limit():
            self._refuse(self._received)
            return
        super().handleContentChunk(data)  # type: ignore[misc]

    def process(self) -> Any:
        if self._refused:
            self.channel.loseConnection()
            return None
        if self.path not in HEALTH and open_files.scarce():
            log.warning("connection_refused", reason="open_files")
            self._answer("503 Service Unavailable", FULL, b"Retry-After: 5\r\n")
            self.channel.loseConnection()
            return None
        return super().process()  # type: ignore[misc]

    def _limit(self) -> int:
        kind = (self.requestHeaders.getRawHeaders(b"content-type") or [b""])[0].lower()
        if kind.startswith(b"multipart/"):
            return int(settings.OMI_MAX_UPLOAD_BYTES) + FRAMING
        return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)

    def _refuse(self, size: int) -> None:
        self._refused = True
        limit = self._limit()
        log.info("request_too_large", size=size, limit=limit)
        told = {"detail": f"The request is larger than {limit} bytes", "code": "too_large"}
        self._answer("413 Content Too Large", told)
        asyncio.get_running_loop().call_later(LINGER, self._cut)

    def _answer(self, status: str, told: dict[str, str], more: bytes = b"") -> None:
        body = json.dumps(told).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.channel.transport.write(head.encode() + more + b"Connection: close\r\n\r\n" + body)

    def _cut(self) -> None:
        if self.channel is not None and self.channel.transport is not None:
            self.channel.loseConnection()
