"""Pools of threads that keep their database connections: for work of the web process that comes again and again.

Django gives every request a thread of its own, so the web process lets go of connections with their requests
(``omi/asgi.py``). The threads of a pool live as long as the process; opening a connection anew for each of their tasks
costs more than most of the tasks. A pool holds at most as many connections as it has threads.
"""

from __future__ import annotations

from collections import ChainMap
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections

KEPT_SECONDS = 600
"""How old a connection to a database server may become; one to a file may live as long as its thread."""


def pool(name: str, threads: int) -> ThreadPoolExecutor:
    """A pool for ``database_sync_to_async(function, thread_sensitive=False, executor=...)``."""
    return ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name, initializer=_keep)


def _keep() -> None:
    """In a thread of a pool, before its first task. Django's connections belong to threads, so nobody else's change."""
    for alias in connections:
        connection = connections[alias]
        kept: Any = {"CONN_MAX_AGE": None if connection.vendor == "sqlite" else KEPT_SECONDS}
        connection.settings_dict = ChainMap(kept, connection.settings_dict)  # type: ignore[assignment]


THREADS = pool("database", 4)
"""For short questions that nobody's audio waits for: who was signed out, whose log has grown, how a vendor fares."""
