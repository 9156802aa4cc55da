"""Sockets of this package. No trailing slash, as the app asks for them."""

from __future__ import annotations

from typing import Any

from django.urls import path, re_path

from transcription.listen.consumer import ListenConsumer
from transcription.listen.web_consumer import WebListenConsumer


async def _nothing_here(scope: Any, receive: Any, send: Any) -> None:
    """Refuse the handshake (403). Without a last route, every scanner's probe is an exception in the log."""
    await receive()
    await send({"type": "websocket.close", "code": 1008})


websocket_urlpatterns = [
    path("listen", ListenConsumer.as_asgi()),
    path("v4/web/listen", WebListenConsumer.as_asgi()),
    re_path(r"", _nothing_here),  # type: ignore[arg-type]  # Django types views only, Channels takes ASGI
]
