"""Sockets of this room. No trailing slash, as the app asks for them."""

from __future__ import annotations

from django.urls import path

from transcription.consumer import ListenConsumer, WebListenConsumer

websocket_urlpatterns = [
    path("listen", ListenConsumer.as_asgi()),
    path("v4/web/listen", WebListenConsumer.as_asgi()),
]
