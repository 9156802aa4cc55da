"""The roof for the web process: HTTP to Django, sockets to ``/listen``."""

from __future__ import annotations

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "omi.settings")
django_application = get_asgi_application()

from omi import daphne_body, daphne_limits  # noqa: E402
from transcription.daphne_socket import install  # noqa: E402
from transcription.routing import websocket_urlpatterns  # noqa: E402  after the apps are loaded

install()
daphne_limits.install()
application = ProtocolTypeRouter(
    {"http": daphne_body.drawing(django_application), "websocket": URLRouter(websocket_urlpatterns)}
)
