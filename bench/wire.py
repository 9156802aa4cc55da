"""As little WebSocket as a load generator can do with (RFC 6455): whole messages, no extensions.

Clients and vendor share one core with each other, and must leave the server under test the other: a library would take
longer to make a frame than the server takes to serve it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator
from typing import cast

BINARY, TEXT, CLOSE, PING, PONG = 0x2, 0x1, 0x8, 0x9, 0xA
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_NO_MASK = b"\0\0\0\0"


def frame(opcode: int, payload: bytes, *, masked: bool) -> bytes:
    """One message. A client must mask; the mask of zeros leaves the payload as it is."""
    size, bit = len(payload), 0x80 if masked else 0
    if size < 126:
        head = bytes((0x80 | opcode, bit | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, bit | 127)) + size.to_bytes(8, "big")
    return head + (_NO_MASK if masked else b"") + payload


class Peer(asyncio.Protocol):
    """Either end. Subclasses say what comes first (``begin``), and take messages (``message``)."""

    client = False

    def __init__(self) -> None:
        self.open = False
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._left = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.begin()

    def begin(self) -> None:
        """A client asks for the upgrade here."""

    def shaken(self, head: bytes) -> None:
        """The other's half of the handshake has come."""

    def message(self, opcode: int, payload: bytes, mask: bytes) -> None:
        """One whole message, as it came: still masked (empty: it was not)."""

    def send(self, opcode: int, payload: bytes) -> None:
        self.transport.write(frame(opcode, payload, masked=self.client))

    def data_received(self, data: bytes) -> None:
        data, self._left = self._left + data if self._left else data, b""
        if not self.open:
            at = data.find(b"\r\n\r\n")
            if at < 0:
                self._left = data
                return
            self.open = True
            self.shaken(data[:at])
            data = data[at + 4 :]
        for opcode, payload, mask in self._frames(data):
            if opcode == PING:
                self.send(PONG, unmasked(payload, mask))
            elif opcode == CLOSE:
                self.send(CLOSE, unmasked(payload, mask)[:2])
                self.transport.close()
            else:
                self.message(opcode, payload, mask)

    def _frames(self, data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
        at, end = 0, len(data)
        while end - at >= 2:
            size, head = data[at + 1] & 0x7F, at + 2
            if size >= 126:
                wide = 2 if size == 126 else 8
                if end < head + wide:
                    break
                size, head = int.from_bytes(data[head : head + wide], "big"), head + wide
            body = head + (4 if data[at + 1] & 0x80 else 0)
            if end < body + size:
                break
            yield data[at] & 0xF, data[body : body + size], data[head:body]
            at = body + size
        self._left = data[at:]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


def unmasked(payload: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload)) if mask else payload


def accept(head: bytes) -> bytes:
    """The server's answer to an upgrade request."""
    key = next(
        line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
    )
    proof = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + proof
        + b"\r\n\r\n"
    )


def request(path: str, host: str, token: str) -> bytes:
    """A client's upgrade request."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(b'0123456789abcdef').decode()}\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()
