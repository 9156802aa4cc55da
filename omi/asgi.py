"""The application that daphne serves: HTTP goes to Django, sockets to ``/listen``."""

from __future__ import annotations

import gc
import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

gc.disable()  # until the apps are loaded (omi/apps.py)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "omi.settings")
django_application = get_asgi_application()

from django.conf import settings  # noqa: E402
from django.db import connections  # noqa: E402

from omi.core import access_log, clock, workspace  # noqa: E402
from omi.serving import admission, answers, body, flow, guard, limits  # noqa: E402
from transcription.listen.daphne_socket import install  # noqa: E402
from transcription.routing import websocket_urlpatterns  # noqa: E402  after the apps are loaded

# Django gives every request a thread of its own, and connections belong to threads: one that lives on is never used
# again, and stays open until the garbage collector comes by ("too many clients" on PostgreSQL after 70 requests).
for _database in connections.settings.values():
    _database["CONN_MAX_AGE"] = 0

install()
clock.behind()  # asked before any event loop runs, where there are several hosts
# Uploads lie in this process's own folder while they are read: nothing of them outlives it.
settings.FILE_UPLOAD_TEMP_DIR = str(workspace.root())
limits.install()
guard.install()
answers.install()
flow.install()
access_log.install()
admission.start()
application = ProtocolTypeRouter(
    {"http": body.drawing(django_application), "websocket": URLRouter(websocket_urlpatterns)}
)

# What was loaded so far is never garbage: 120,000 objects that a full collection need not look through, while every
# stream of the process waits for a tenth of a second.
gc.collect()
gc.freeze()
# Young objects are looked through at 50,000 instead of 700, all of them every 20,000,000: hundreds of sessions make few
# cycles, and one look through all that they hold stops each of them for 0.1 to 0.2 s.
gc.set_threshold(50_000, 20, 20)
