"""A worker has a reshaping to itself while it works on it; when its process dies another one soon goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import Error, connection
from django.utils import timezone

from memories.reshaping.models import Reshaping

log = structlog.get_logger(__name__)


def lease() -> timedelta:
    """How long one that nobody renews is held."""
    return timedelta(seconds=settings.OMI_LEASE_SECONDS)


@contextmanager
def held(identity: str) -> Iterator[None]:
    """Renews the lease in a thread while the block works, however long a recording takes to be copied."""
    over = threading.Event()
    beats = threading.Thread(target=_beat, args=(identity, over), name="reshaping-lease", daemon=True)
    beats.start()
    try:
        yield
    finally:
        over.set()
        beats.join()


def _beat(identity: str, over: threading.Event) -> None:
    try:
        while not over.wait(settings.OMI_LEASE_SECONDS / 4):
            try:
                mine = Reshaping.objects.filter(pk=identity, finished=False)
                mine.update(next_at=timezone.now() + lease())
            except Error as error:  # the next beat may reach the database again
                log.warning("reshaping_lease_not_renewed", reshaping=identity, error=type(error).__name__)
    finally:
        connection.close()
