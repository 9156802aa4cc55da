"""A body of somebody unknown is refused before it is read; a chunked one gets the length that it turned out to have.

Daphne takes a whole body onto disk before the application hears of the request, so the application's "who are you"
comes too late: strangers could fill the disk. Here the connection is not read on until the token was looked at, and no
upload is read for which there is no room (``admission``). Small bodies are let through: they cost no more than the
request itself, and the application answers in its own words.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import structlog
from channels.db import database_sync_to_async

from omi.accounts.identity import IdentityUnavailable, InvalidToken, verify_token
from omi.core.database_threads import pool
from omi.serving import admission
from omi.serving.limits import LINGER

log = structlog.get_logger(__name__)

FREE = 64 * 1024
"""Bytes of a body that anybody may send."""

_THREADS = pool("tokens", 4)
"""Whoever is slow to be known (a look-up over the network) keeps nobody's journal from its disk."""

SIGNED = {b"/v1/vendors/fal/webhook": b"x-fal-webhook-signature"}
"""Paths whose body is believed by a signature over it, and the header that carries it: no token is asked for."""


def install() -> None:
    """Replace daphne's request class by one that asks first. After ``limits.install``."""
    if "daphne.server" not in sys.modules:
        return
    from daphne import http_protocol

    if not issubclass(http_protocol.WebRequest, Guarded):
        http_protocol.WebRequest = type("GuardedWebRequest", (Guarded, http_protocol.WebRequest), {})


UPLOADS = (b"multipart/", b"application/offset+octet-stream")
"""Content types of recordings: forms, and pieces of offline batches."""

PACKETS = b"/v3/upload-bytes"
"""A recording as JSON."""


class Guarded:
    """Mixed into ``daphne.http_protocol.WebRequest``, in front of everything else."""

    channel: Any
    content: Any
    requestHeaders: Any
    _refused: bool
    """By ``limits``, for its size."""
    _denied = False
    _judging: asyncio.Task[None] | None = None
    _received_whole = False

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)  # type: ignore[misc]
        if (length is not None and length <= FREE) or self._refused:
            return
        path = self.channel._path.split(b"?", 1)[0]
        if path in SIGNED:
            if not self.requestHeaders.hasHeader(SIGNED[path]):
                self._deny(401, "The signature is missing")
            return
        scheme, _, token = (self.requestHeaders.getRawHeaders(b"authorization") or [b""])[0].partition(b" ")
        if scheme.lower() != b"bearer" or not token.strip():
            self._deny(401, "Authorization header not found")
            return
        if self._is_upload() and (refused := admission.refusal("upload", length or 0)) is not None:
            self._deny(503, refused.sentence, f"Retry-After: {refused.retry_after}\r\n", code=refused.code)
            return
        self.channel.transport.pauseProducing()
        self._judging = asyncio.get_running_loop().create_task(self._judge(token.strip().decode("latin-1")))

    def handleContentChunk(self, data: bytes) -> None:
        if not self._denied:
            super().handleContentChunk(data)  # type: ignore[misc]

    def process(self) -> Any:
        if self._denied:
            self.channel.loseConnection()
            return None
        if self._judging is not None:  # all of it was there before the token was looked at
            self._received_whole = True
            return None
        if self.requestHeaders.hasHeader(b"transfer-encoding"):
            # Django and its parsers read as much as the header says, which for a chunked body is nothing.
            size = self.content.seek(0, 2)
            self.content.seek(0)
            self.requestHeaders.removeHeader(b"transfer-encoding")
            self.requestHeaders.setRawHeaders(b"content-length", [str(size).encode()])
        return super().process()  # type: ignore[misc]

    async def _judge(self, token: str) -> None:
        try:
            await database_sync_to_async(verify_token, thread_sensitive=False, executor=_THREADS)(token)
        except InvalidToken:
            self._deny(401, "Invalid authorization token")
        except IdentityUnavailable:
            self._deny(503, "The identity service cannot be reached, please try again", "Retry-After: 5\r\n")
        except Exception as error:  # the application meets the same, and has an answer and a log line for it
            log.warning("token_not_checked", error=type(error).__name__)
        self._judging = None
        if self.channel is None or self.channel.transport is None:  # the client has left
            return
        if not self._received_whole:
            self.channel.transport.resumeProducing()
        elif not self._denied:
            self.process()
        else:
            self.channel.loseConnection()

    def _is_upload(self) -> bool:
        kind = (self.requestHeaders.getRawHeaders(b"content-type") or [b""])[0]
        return bool(kind.lower().startswith(UPLOADS)) or self.channel._path.split(b"?", 1)[0] == PACKETS

    def _deny(self, status: int, sentence: str, headers: str = "", **more: str) -> None:
        """Answer now; what still comes is thrown away for a while, because a reset would hide the answer."""
        self._denied = True
        if self.channel is None or self.channel.transport is None:
            return
        reason = {401: "Unauthorized\r\nWWW-Authenticate: Bearer", 503: "Service Unavailable"}[status]
        body = json.dumps({"detail": sentence, **more}).encode()
        head = (
            f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}"
        )
        self.channel.transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        asyncio.get_running_loop().call_later(LINGER, self._cut)

    def _cut(self) -> None:
        if self.channel is not None and self.channel.transport is not None:
            self.channel.loseConnection()
