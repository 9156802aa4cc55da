"""Work outside of a run that takes long: while it lasts its lease is renewed, and its worker says that it lives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from django.conf import settings
from django.db import Error, connection

from memories.pipeline import tasks

log = structlog.get_logger(__name__)


@contextmanager
def kept(what: str, renew: Callable[[], object]) -> Iterator[None]:
    """Call ``renew`` four times a lease in a thread until the block ends, or ``renew`` gives False: the lease is lost.
    ``what`` names the work in the log."""
    over = threading.Event()
    beats = threading.Thread(target=_beat, args=(what, renew, over), name="long-work", daemon=True)
    beats.start()
    try:
        yield
    finally:
        over.set()
        beats.join()


def _beat(what: str, renew: Callable[[], object], over: threading.Event) -> None:
    try:
        while not over.wait(settings.OMI_LEASE_SECONDS / 4):
            try:
                tasks.alive()
                if renew() is False:
                    return
            except Error as error:  # the next beat may reach the database again; the lease decides
                log.warning("lease_not_renewed", work=what, error=type(error).__name__)
    finally:
        connection.close()
