"""A large request body travels to the application piece by piece, as the application asks for it.

Daphne has the whole body on disk when it starts the application, and then puts all of it into the application's queue
at once: an upload of 150 MB takes 150 MB of memory, and all sockets of the process wait for the disk meanwhile. Here
the queue gets an empty body, and the application draws the pieces itself, the next one when it has taken the last.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

PIECE = 256 * 1024
"""Bytes of one ``http.request`` message: what a body holds in memory between disk and application."""

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Application = Callable[[Any, Receive, Any], Awaitable[None]]

_offered: ContextVar[Body | None] = ContextVar("omi_request_body", default=None)


class Body:
    """A body on disk. Daphne and Twisted find an empty file; ``before`` has what is in it."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._file.seek(0)
        self._begun = self._over = False

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def read(self, size: int = -1) -> bytes:
        return b""

    def close(self) -> None:
        self._file.close()

    def before(self, receive: Receive) -> Receive:
        """Messages of the body first, then what ``receive`` has (a client that leaves, at once)."""

        async def next_message() -> Message:
            if not self._begun:
                self._begun = True
                first = await receive()  # daphne's empty body, unless the client has left already
                if first["type"] != "http.request":
                    self._over = True
                    return first
            if not self._over:
                try:
                    piece = await asyncio.to_thread(self._file.read, PIECE)
                except ValueError:  # closed by Twisted: the client left, which is the next message
                    self._over = True
                else:
                    self._over = len(piece) < PIECE
                    return {"type": "http.request", "body": piece, "more_body": not self._over}
            return await receive()

        return next_message


class Piecewise:
    """A mixin of ``daphne.http_protocol.WebRequest`` that hands a large body on in pieces (``Body``)."""

    content: Any
    requestHeaders: Any

    def process(self) -> Any:
        # Small bodies are in memory anyway; an upgrade hands its connection on with what has come of it.
        if self.content is None or isinstance(self.content, io.BytesIO) or self.requestHeaders.hasHeader(b"upgrade"):
            return super().process()  # type: ignore[misc]
        self.content = Body(self.content)
        # The task of the application begins with a copy of this context: daphne hands it nothing else of ours.
        token = _offered.set(self.content)
        try:
            return super().process()  # type: ignore[misc]
        finally:
            _offered.reset(token)


def drawing(application: Application) -> Application:
    """Return ``application``, drawing its body from where ``Piecewise`` left it; unchanged under another server."""

    async def run(scope: Any, receive: Receive, send: Any) -> None:
        body = _offered.get()
        _offered.set(None)
        await application(scope, receive if body is None else body.before(receive), send)

    return run
