"""The roof for the web process: HTTP to Django, sockets to ``/listen``."""

from __future__ import annotations

import gc
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

# What was loaded so far is never garbage: 120,000 objects that a full collection need not look through, while every
# stream of the process waits for a tenth of a second.
gc.collect()
gc.freeze()
