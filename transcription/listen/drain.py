"""An orderly end on SIGTERM: every client gets close code 1012, every journal is flushed, then the server stops.

ASGI has no such phase for sockets (daphne cancels the consumers), so the first socket puts a handler in front of the
server's own: it drains, then calls the one it found.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import structlog

from transcription.listen.daphne_socket import lingering
from transcription.listen.live_socket import LiveSocket
from transcription.metrics import SOCKETS
from transcription.session.ending import endings

log = structlog.get_logger(__name__)

LIMIT_SECONDS = 10.0
ANSWER_SECONDS = 2.0
"""How long the clients may take to answer their close frames: a socket that is cut before has no code."""

_sockets: set[LiveSocket] = set()
_draining = False
_installed = False
_work: asyncio.Task[None] | None = None


def register(socket: LiveSocket) -> None:
    """Count a socket as open, so that the drain closes it."""
    _sockets.add(socket)
    SOCKETS.set(len(_sockets))


def unregister(socket: LiveSocket) -> None:
    """Count a socket as closed."""
    _sockets.discard(socket)
    SOCKETS.set(len(_sockets))


def draining() -> bool:
    """Return whether this server is ending and takes no new sockets."""
    return _draining


def install() -> None:
    """Have SIGTERM drain this server; may be called again. Does nothing outside the main thread (tests) or without
    signal handlers."""
    global _installed
    if _installed or threading.current_thread() is not threading.main_thread():
        return
    before = signal.getsignal(signal.SIGTERM)
    if not callable(before):
        return
    _installed = True
    loop = asyncio.get_running_loop()
    handler: Callable[[int, FrameType | None], Any] = before

    def on_signal(number: int, frame: FrameType | None) -> None:
        if _draining:
            handler(number, frame)
        else:
            loop.call_soon_threadsafe(_begin, lambda: handler(number, None))

    signal.signal(signal.SIGTERM, on_signal)


def _begin(then: Callable[[], Any]) -> None:
    global _draining, _work
    if not _draining:
        _draining = True
        _work = asyncio.get_running_loop().create_task(_drain(then))


async def _drain(then: Callable[[], Any]) -> None:
    log.info("draining", sockets=len(_sockets))
    work: list[asyncio.Future[None]] = [asyncio.ensure_future(socket.drain()) for socket in list(_sockets)]
    work += [asyncio.ensure_future(ending) for ending in endings()]
    try:
        if work:
            await asyncio.wait(work, timeout=LIMIT_SECONDS)
        await asyncio.sleep(0.1)  # the close frames leave
        for _ in range(round(ANSWER_SECONDS / 0.02)):
            if not lingering():
                break
            await asyncio.sleep(0.02)
    finally:
        then()
