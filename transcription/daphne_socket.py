"""What daphne's WebSocket protocol lacks for a server of live audio: real close codes, back-pressure, and speed.

autobahn lets an application close with 1000 or a private code only, though RFC 6455 7.4 has codes for what a server
means: 1001 going away, 1008 policy, 1009 too big, 1012 restarting, 1013 try again later. And daphne reads a socket as
fast as the wire delivers, into a queue without bound. uvicorn and granian need neither; there this module does nothing.

autobahn's parser takes the larger part of what an Opus packet costs, and its ``dataReceived`` builds coloured log
arguments at any log level. Audio frames that arrived whole (nearly all) are therefore taken apart here; everything else
(text, control frames, fragments, torn or faulty frames, compression) goes to autobahn as before.
"""

from __future__ import annotations

import asyncio
from typing import Any

PAUSE_AT, RESUME_AT = 256, 64
"""Messages that wait for the consumer: above the first the socket is not read, below the second it is again."""
LOOK_SECONDS = 0.02


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
        mask = (data[head : head + 4] * (size // 4 + 1))[:size]
        plain = int.from_bytes(data[head + 4 : stop], "little") ^ int.from_bytes(mask, "little")
        found.append(plain.to_bytes(size, "little"))
        at = stop
    return found, data[at:]


def install() -> None:
    """Make daphne use the protocol below. Idempotent."""
    from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

    if WebSocketFactory.protocol is not WebSocketProtocol:
        return

    class AudioSocket(WebSocketProtocol):  # type: ignore[misc]  # daphne has no types
        paused = False

        def handle_reply(self, message: dict[str, Any]) -> None:
            if message.get("type") == "websocket.close" and self.state == self.STATE_OPEN:
                reason = str(message.get("reason") or "").encode()[:120].decode(errors="ignore").encode()
                self.sendCloseFrame(code=message.get("code") or 1000, reasonUtf8=reason)
            else:
                super().handle_reply(message)

        def dataReceived(self, data: bytes) -> None:
            # The state first: before the handshake the others are not there.
            if self.state == self.STATE_OPEN and self._between_messages() and self.autoPingTimeoutCall is None:
                frames, data = whole_audio_frames(data)
                for frame in frames:
                    self.onMessage(frame, True)
            if data:
                self._dataReceived(data)

        def _between_messages(self) -> bool:
            return not self.data and self.current_frame is None and not self.inside_message

        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            super().onMessage(payload, isBinary)
            if not self.paused and self.application_queue.qsize() > PAUSE_AT:
                self.paused = True
                self.transport.pauseProducing()
                self._look_later()

        def _look_later(self) -> None:
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

        def _look(self) -> None:
            if self.application_queue.qsize() > RESUME_AT and self.state == self.STATE_OPEN:
                self._look_later()
                return
            self.paused = False
            if self.transport is not None and self.state == self.STATE_OPEN:
                self.transport.resumeProducing()

        # The parents compare and hash by identity; a subclass must say so again.
        __hash__ = WebSocketProtocol.__hash__
        __eq__ = WebSocketProtocol.__eq__

    WebSocketFactory.protocol = AudioSocket
