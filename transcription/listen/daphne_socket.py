"""What daphne's WebSocket protocol lacks for a server of live audio: real close codes that arrive, back-pressure, a
clock that does not jump, and speed.

autobahn lets an application close with 1000 or a private code only, though RFC 6455 7.4 has codes for what a server
means: 1001 going away, 1008 policy, 1009 too big, 1012 restarting, 1013 try again later. And daphne reads a socket as
fast as the wire delivers, into a queue without bound. uvicorn and granian need neither; there this module does nothing.

A close frame arrives only where the server goes on reading: TCP resets a connection that is closed with audio unread,
and the client sees 1006 instead of the reason. So what comes after the close frame is read and thrown away until the
client has answered it, ``LINGER_SECONDS`` at most.

daphne counts a socket's age and its pings by the wall clock: set forward by a day, it would close every socket.

autobahn's parser takes the larger part of what an Opus packet costs, and its ``dataReceived`` builds coloured log
arguments at any log level. Audio frames that arrived whole (nearly all) are therefore taken apart here; everything else
(text, control frames, fragments, torn or faulty frames, compression) goes to autobahn as before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from omi.core import clock
from omi.core.websocket_masks import apply_mask
from omi.serving.flow import unsent

PAUSE_AT, RESUME_AT = 256, 64
"""Messages that wait for the consumer: above the first the socket is not read, below the second it is again."""
LARGE = 16 * 1024
"""Bytes: messages at least this large wait one at a time, or those of one client would be megabytes."""
LOOK_SECONDS = 0.02
PING_BURST, PINGS_PER_SECOND, PING_FLOOD = 20.0, 2.0, 1000.0
"""Protocol pings that are answered, at once and in the long run; who sends so many more is parted with."""
ANSWER_SECONDS = 60.0
"""How long a client waits for the answer to its handshake before it is sent away (it waits less itself)."""
LINGER_SECONDS = 5.0
"""How long a client may take to answer the close frame (autobahn: 1 s) while what it still sends is thrown away."""

DIRECT = "omi.direct"
"""Key of ``websocket.accept`` under which a consumer offers a ``Direct``. Other servers do not look at it."""


@dataclass(slots=True)
class Direct:
    """A way past the queues between socket and consumer. Each frame that takes them wakes a task, which costs as much
    as the rest of its way.

    ``take``: the consumer takes an audio frame at once; seconds for which nothing more shall be read, or None: it must
    come as a message. ``held``: set by the consumer while nothing more shall be read at all. Set by the socket that
    knows this: ``write`` sends a text at once, False where it cannot; ``waiting`` gives the bytes that the client has
    not read and the kernel did not take.
    """

    take: Callable[[bytes], float | None]
    write: Callable[[str], bool] | None = None
    waiting: Callable[[], int] | None = None
    held: bool = False
    to_the_end: bool = False
    """Set by the consumer: audio is taken until the client, which sends until then, has answered the close frame."""
    first_at: float | None = None
    """Wall clock (Unix seconds) at which the first audio frame came. It waits where the user is not known yet."""


_lingering: set[Any] = set()


def lingering() -> int:
    """Sockets that were sent a close frame and have not answered it."""
    return len(_lingering)


_BINARY = 0x82
"""First byte of a whole binary message: FIN, no reserved bit, opcode 2."""


def whole_audio_frames(data: bytes) -> tuple[list[bytes], bytes]:
    """The payloads of the masked binary messages of up to 64 kB that ``data`` begins with, and what follows them."""
    found: list[bytes] = []
    at, end = 0, len(data)
    while end - at >= 6 and data[at] == _BINARY and data[at + 1] & 0x80:
        size, head = data[at + 1] & 0x7F, at + 2
        if size == 126:
            size, head = int.from_bytes(data[head : head + 2], "big"), head + 2
            if size < 126:
                break  # longer than need be: autobahn refuses it
        elif size == 127:
            break
        stop = head + 4 + size
        if stop > end:
            break
        found.append(apply_mask(data[head + 4 : stop], data[head : head + 4]))
        at = stop
    return found, data[at:]


def is_torn_audio(data: bytes) -> bool:
    """Whether this is the beginning of a frame that ``whole_audio_frames`` takes once it is whole. A network delivers
    a tenth of a second of PCM in three pieces."""
    if not data or data[0] != _BINARY or (len(data) > 1 and not data[1] & 0x80):
        return False
    size = data[1] & 0x7F if len(data) > 1 else 0
    return size < 126 or (size == 126 and (len(data) < 4 or int.from_bytes(data[2:4], "big") >= 126))


def install() -> None:
    """Make daphne use the protocol below. Idempotent."""
    from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
    from twisted.internet.tcp import Connection

    if WebSocketFactory.protocol is not WebSocketProtocol:
        return

    def sent_at_once(transport: Any, data: bytes) -> bytes:
        """What the socket did not take. Twisted writes when the event loop next comes round, and tells epoll twice for
        it; a socket with nothing before this takes it now. Over TLS, or behind other data, all is left to Twisted."""
        if (
            not isinstance(transport, Connection)
            or transport.TLS
            or transport.dataBuffer
            or transport._tempDataBuffer
            or transport.disconnecting
            or not transport.connected
        ):
            return data
        try:
            return data[transport.socket.send(data) :]
        except OSError:
            return data  # full for the moment, or broken: Twisted finds out which

    class AudioSocket(WebSocketProtocol):  # type: ignore[misc]  # daphne has no types
        paused = False
        torn = b""
        direct: Direct | None = None
        _pings_left = PING_BURST
        _pinged_at = 0.0

        def handle_reply(self, message: dict[str, Any]) -> None:
            if message.get("type") == "websocket.accept":
                self.direct = message.get(DIRECT)
                if self.direct is not None:
                    self.direct.write = self._write_text
                    self.direct.waiting = self._unread
            if message.get("type") == "websocket.close" and self.state == self.STATE_OPEN:
                reason = str(message.get("reason") or "").encode()[:120].decode(errors="ignore").encode()
                _lingering.add(self)
                self.closeHandshakeTimeout = LINGER_SECONDS
                self.sendCloseFrame(code=message.get("code") or 1000, reasonUtf8=reason)
                self._read_on()
            else:
                super().handle_reply(message)

        def dataReceived(self, data: bytes) -> None:
            # The state first: before the handshake the others are not there.
            if self._takes_audio() and self._between_messages():
                frames, data = whole_audio_frames(self.torn + data if self.torn else data)
                self.torn = b""
                if frames and self._hears():  # else nobody will hear them
                    self._hand_on(frames)
                if is_torn_audio(data):
                    self.torn = data
                    return
            elif self.torn:
                self.torn, data = b"", self.torn + data
            if data:
                self._dataReceived(data)

        def onClose(self, wasClean: bool, code: int, reason: str) -> None:
            _lingering.discard(self)
            super().onClose(wasClean, code, reason)

        def _hand_on(self, frames: list[bytes]) -> None:
            """To the consumer itself where nothing before them waits in its queue, else behind that."""
            if self.direct is not None and self.direct.first_at is None:
                self.direct.first_at = clock.time()
            take = self.direct.take if self.direct is not None and self.application_queue.empty() else None
            longest = 0.0
            for frame in frames:
                if take is not None:
                    try:
                        wait = take(frame)
                    except Exception as error:  # raised where a fault of the consumer is always raised
                        self.application_queue.put_nowait({"type": "omi.failed", "error": error})
                        return
                    if wait is not None:
                        longest = max(longest, wait)
                        continue
                    take = None
                self.onMessage(frame, True)
            self._heard_at = time.monotonic()
            if (longest or self._held()) and not self.paused:
                self._pause(longest or LOOK_SECONDS)

        def _write_text(self, text: str) -> bool:
            if self.state != self.STATE_OPEN or self.transport is None:
                return False
            payload = text.encode()
            size = len(payload)
            if size < 126:
                head = bytes((0x81, size))
            elif size < 65536:
                head = b"\x81\x7e" + size.to_bytes(2, "big")
            else:
                head = b"\x81\x7f" + size.to_bytes(8, "big")
            left = sent_at_once(self.transport, head + payload)
            if left:
                self.transport.write(left)
            return True

        def _unread(self) -> int:
            return unsent(self.transport)

        def onPing(self, payload: bytes) -> None:
            """RFC 6455 5.5.3 lets an endpoint answer the most recent ping only. One who pings faster than can be meant,
            or does not read the answers, gets none."""
            now = time.monotonic()
            self._pings_left = min(PING_BURST, self._pings_left + (now - self._pinged_at) * PINGS_PER_SECOND) - 1.0
            self._pinged_at = now
            if self._pings_left < -PING_FLOOD:
                self.sendCloseFrame(code=1008, reasonUtf8=b"too many pings")
            elif self._pings_left >= 0 and not unsent(self.transport):
                super().onPing(payload)

        def _takes_audio(self) -> bool:
            return self.state == self.STATE_CLOSING or (
                self.state == self.STATE_OPEN and self.autoPingTimeoutCall is None
            )

        def _hears(self) -> bool:
            return self.state == self.STATE_OPEN or (self.direct is not None and self.direct.to_the_end)

        def _between_messages(self) -> bool:
            return not self.data and self.current_frame is None and not self.inside_message

        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            if self.state != self.STATE_OPEN:
                return
            self._heard_at = time.monotonic()
            super().onMessage(payload, isBinary)
            full = self.application_queue.qsize() > (PAUSE_AT if len(payload) < LARGE else 1)
            if not self.paused and (full or self._held()):
                self._pause(LOOK_SECONDS)

        def _held(self) -> bool:
            return self.direct is not None and self.direct.held

        def _pause(self, seconds: float) -> None:
            self.paused = True
            self.transport.pauseProducing()
            asyncio.get_running_loop().call_later(seconds, self._look)

        def _look(self) -> None:
            if (self._held() or self.application_queue.qsize() > RESUME_AT) and self.state == self.STATE_OPEN:
                asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)
            else:
                self._read_on()

        def _read_on(self) -> None:
            if self.paused and self.transport is not None and self.state != self.STATE_CLOSED:
                self.transport.resumeProducing()
            self.paused = False

        def onConnect(self, request: Any) -> Any:
            # The client has said all that it has to say. What is missing is our own answer, which takes longer than
            # daphne's five seconds where a thousand come at once.
            waiting, self.openHandshakeTimeoutCall = getattr(self, "openHandshakeTimeoutCall", None), None
            if waiting is not None:
                waiting.cancel()
            self._opened_at = self._heard_at = time.monotonic()
            return super().onConnect(request)

        def duration(self) -> float:
            return time.monotonic() - self._opened_at

        def check_timeouts(self) -> None:
            """The parent's, by the clock that does not jump."""
            limits = self.server
            if 0 <= limits.websocket_timeout < self.duration():
                self.serverClose()
            if self.state == self.STATE_CONNECTING:
                if self.duration() > max(ANSWER_SECONDS, limits.websocket_connect_timeout):
                    self.serverReject()
            elif self.state == self.STATE_OPEN and time.monotonic() - self._heard_at > limits.ping_interval:
                self._sendAutoPing()
                self._heard_at = time.monotonic()

        # The parents compare and hash by identity; a subclass must say so again.
        __hash__ = WebSocketProtocol.__hash__
        __eq__ = WebSocketProtocol.__eq__

    WebSocketFactory.protocol = AudioSocket
