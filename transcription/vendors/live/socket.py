"""What the three vendors' sockets share: connect, send with a limit, and one error for every way to fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.protocol import State

from omi.core.errors import ErrorKind, Outcome, ProviderError
from omi.core.vendor_errors import KEY_REFUSED, retry_after
from omi.core.websocket_masks import masked

SEND_SECONDS = 10.0
"""A vendor that does not read for this long hangs."""
LONGEST_WAIT = 3600.0
"""What a vendor may ask for, in seconds, and be heeded."""
ROOM = 16 * 1024
"""Bytes that may wait for the vendor before a send may block: half of the library's own limit (32 KiB)."""

StatusTable = Callable[[int, str, Mapping[str, str]], ProviderError]
CloseTable = Callable[[int, str], ProviderError]


class VendorSocket:
    """One connection. ``refused`` and ``closed`` turn a handshake's status and a close code into the vendor's error."""

    def __init__(self, name: str, connection: ClientConnection, closed: CloseTable) -> None:
        self._name = name
        self._connection = connection
        self._closed = closed
        self._finished = False

    @classmethod
    async def open(
        cls, name: str, url: str, headers: Mapping[str, str], *, refused: StatusTable, closed: CloseTable
    ) -> VendorSocket:
        try:
            # No compression: audio does not shrink, and deflating it would be most of the work.
            connection = await connect(
                url, additional_headers=dict(headers), compression=None, max_size=1 << 20, close_timeout=1.0
            )
        except websockets.InvalidStatus as error:
            response = error.response
            body = (response.body or b"")[:4096].decode("utf-8", "replace")
            raise refused(response.status_code, body, dict(response.headers.raw_items())) from error
        except (OSError, TimeoutError, websockets.WebSocketException, EOFError) as error:
            raise transient(name, "the vendor cannot be reached", "unreachable") from error
        return cls(name, connection, closed)

    async def send(self, data: bytes | str) -> None:
        try:
            # What fits into the buffer is taken at once: no timer for each message of a vendor that keeps up.
            if self._connection.transport.get_write_buffer_size() + len(data) < ROOM:
                await self._connection.send(data)
            else:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._connection.send(data)
        except websockets.ConnectionClosed as error:
            raise self._lost(error) from error
        except TimeoutError:
            raise transient(self._name, "the vendor does not read", "blocked") from None

    def send_now(self, data: bytes) -> bool:
        """Write an audio message at once; False when ``send`` must: something waits, or the connection is ending.

        The library's own way costs more than the write (a context manager, a lock, a frame object, a drain, for each
        tenth of a second of each session).
        """
        connection = self._connection
        if connection.state is not State.OPEN:
            return False
        transport = connection.transport
        if transport.is_closing() or transport.get_write_buffer_size():
            return False
        transport.write(masked(data))
        return True

    async def send_json(self, message: Mapping[str, Any]) -> None:
        await self.send(json.dumps(message))

    def expect_end(self) -> None:
        """Take a normal close for the end from now on, not for a failure."""
        self._finished = True

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """JSON objects until the vendor closes. Anything else is a malformed answer."""
        while True:
            try:
                text = await self._connection.recv()
            except websockets.ConnectionClosed as error:
                code = error.rcvd.code if error.rcvd else 1006
                if self._finished and code == 1000:
                    return
                raise self._lost(error) from error
            try:
                message = json.loads(text) if isinstance(text, str) else None
            except ValueError:
                message = None
            if not isinstance(message, dict):
                raise transient(self._name, "the vendor sent a message that is no JSON object", "malformed")
            yield message

    async def close(self) -> None:
        await self._connection.close()

    def _lost(self, error: websockets.ConnectionClosed) -> ProviderError:
        if error.rcvd is None:
            return transient(self._name, "the connection was lost", "1006")
        return self._closed(error.rcvd.code, error.rcvd.reason)


def transient(name: str, message: str, code: str, retry_after: float | None = None) -> ProviderError:
    """Return a ProviderError that is worth another try, after ``retry_after`` seconds where the vendor said so."""
    return ProviderError(name, message, kind=ErrorKind.TRANSIENT, code=code, retry_after=retry_after)


def refused_handshake(name: str, status: int, headers: Mapping[str, str], code: str = "") -> ProviderError:
    """What a status means for all vendors. ``code``: the vendor's own, where it gave one."""
    code = code or str(status)
    if status == 402:
        return ProviderError(name, "the account has no credit left", kind=ErrorKind.QUOTA, code=code)
    if status in (408, 429) or status >= 500:
        return transient(name, f"the vendor is busy or down (HTTP {status})", code, asked_to_wait(headers))
    return ProviderError(
        name,
        KEY_REFUSED if status in (401, 403) else f"the request is refused (HTTP {status})",
        kind=ErrorKind.PERMANENT,
        code=code,
        # What is about the request says nothing about the vendor; a key, an address or a model is everybody's.
        outcome=Outcome.INVALID_INPUT if status in (400, 411, 413, 414, 422, 431) else Outcome.CONFIG_ERROR,
    )


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a vendor asks to be left alone for, an hour at most: a session does not outlive a day."""
    asked = retry_after(headers)
    return None if asked is None else min(asked, LONGEST_WAIT)
