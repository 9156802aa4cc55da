"""What daphne's WebSocket protocol lacks for a server of live audio: real close codes, and back-pressure.

autobahn lets an application close with 1000 or a private code only, though RFC 6455 7.4 has codes for what a server
means: 1001 going away, 1008 policy, 1009 too big, 1012 restarting, 1013 try again later. And daphne reads a socket as
fast as the wire delivers, into a queue without bound. uvicorn and granian need neither; there this module does nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any

PAUSE_AT, RESUME_AT = 256, 64
"""Messages that wait for the consumer: above the first the socket is not read, below the second it is again."""
LOOK_SECONDS = 0.02


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
