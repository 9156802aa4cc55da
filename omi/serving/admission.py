"""New uploads and new sockets are refused early while the disk is nearly full, the database slow or the queue too old.

What was accepted goes on: running sockets, and clients that come back to a conversation; retries, reads, workers. A
gate that has shut opens again only when things are clearly better, so that it does not flap.
"""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import Error, connection
from prometheus_client import Counter, Gauge

log = structlog.get_logger(__name__)

SAMPLE_SECONDS = 5.0
"""Between two looks of the watch; one thread of a web process looks, no request does."""
REOPEN = 0.8
"""A gate that shut at load 1.0 opens again below this."""
RETRY_SECONDS = 30
"""What refused clients are told to wait (``Retry-After``)."""
DISK_FRESH = 1.0
"""How long a look at the disk is believed; it is also taken at the door, because one upload may fill what is left."""

CLOSED = Gauge("omi_admission_closed", "1 while new uploads and sockets are refused, by reason.", ["reason"])
REFUSED = Counter("omi_admission_refused_total", "New uploads and sockets that were refused.", ["what", "reason"])
DATABASE_SECONDS = Gauge("omi_database_answer_seconds", "Time of the last sampled read, with its connection.")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nobody new is let in: ``code`` for programs, ``sentence`` for people."""

    code: str
    sentence: str
    retry_after: int = RETRY_SECONDS


class NoRoom(Exception):
    """Nothing new is taken now (503). ``refusal`` says why, and when to try again."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence)
        self.refusal = refusal


class Gate:
    """One reason to refuse newcomers. ``load`` says how near its limit something is (1.0: at the limit, 0: no limit);
    ``patience``: how many looks in a row must find it there before the gate shuts."""

    def __init__(self, code: str, sentence: str, load: Callable[[], float], *, patience: int = 1) -> None:
        self.refusal = Refusal(code, sentence)
        self.shut = False
        self.last = 0.0
        self._load, self._patience, self._bad = load, patience, 0
        self._lock = threading.Lock()
        CLOSED.labels(code).set(0)
        for what in ("upload", "socket"):
            REFUSED.labels(what, code)

    def look(self) -> None:
        """Measure once. A database that does not answer at all changes nothing: who needs it says so."""
        try:
            self.last = self._load()
        except (OSError, Error) as error:
            log.warning("admission_not_measured", gate=self.refusal.code, error=type(error).__name__)
            return
        with self._lock:
            self._bad = self._bad + 1 if self.last >= 1.0 else 0
            before = self.shut
            if self._bad >= self._patience:
                self.shut = True
            elif self.last < REOPEN:
                self.shut = False
            if self.shut != before:
                CLOSED.labels(self.refusal.code).set(int(self.shut))
                log.warning("admission_changed", gate=self.refusal.code, shut=self.shut, load=round(self.last, 2))

    def open(self) -> None:
        """Forget what was seen, for tests."""
        self.shut, self.last, self._bad = False, 0.0, 0


def _disk_load(size: int = 0) -> float:
    """``size``: bytes that are about to be written."""
    disk = shutil.disk_usage(settings.OMI_DATA_DIR)
    floor = max(settings.OMI_ADMIT_FREE_BYTES, settings.OMI_ADMIT_FREE_SHARE * disk.total)
    if not floor:
        return 0.0
    free = disk.free - size
    return floor / free if free > 0 else math.inf


def _database_load() -> float:
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM django_migrations WHERE id = 1")
        cursor.fetchall()
    took = time.monotonic() - began
    DATABASE_SECONDS.set(took)
    limit = settings.OMI_ADMIT_DATABASE_SECONDS
    return took / limit if limit else 0.0


DISK = Gate("disk_nearly_full", "The server's disk is nearly full; nothing new is taken.", _disk_load)
DATABASE = Gate("database_slow", "The server's database is slow; nothing new is taken.", _database_load, patience=3)
_gates = [DISK, DATABASE]
_disk_looked = 0.0
_watching: threading.Thread | None = None


def register(gate: Gate) -> None:
    """Have the watch look at another gate, after the database's. Once, when an app is ready."""
    if all(other.refusal.code != gate.refusal.code for other in _gates):
        _gates.append(gate)


def gates() -> list[Gate]:
    """Return the gates that are registered in this process."""
    return list(_gates)


def look() -> list[Gate]:
    """Measure all once; the gates that are shut."""
    for gate in _gates:
        gate.look()
    return [gate for gate in _gates if gate.shut]


def refusal(what: str, size: int = 0) -> Refusal | None:
    """Why a newcomer is refused now; None: it is let in. ``what`` is ``upload`` or ``socket``; ``size``: declared bytes
    of an upload, which must fit above the reserve. Costs no more than a look at the file system once a second."""
    global _disk_looked
    now = time.monotonic()
    if now - _disk_looked >= DISK_FRESH or not _disk_looked:
        _disk_looked = now
        DISK.look()
    found = next((gate.refusal for gate in _gates if gate.shut), None)
    if found is None and size and _too_large(size):
        found = DISK.refusal
    if found is not None:
        REFUSED.labels(what, found.code).inc()
        log.info("newcomer_refused", what=what, reason=found.code)
    return found


def admit_upload() -> None:
    """Let an upload begin, or raise NoRoom. For every view that takes bytes; large ones were refused at the door
    (``guard``)."""
    found = refusal("upload")
    if found is not None:
        raise NoRoom(found)


def _too_large(size: int) -> bool:
    try:
        return _disk_load(size) >= 1.0
    except OSError:
        return False


def start() -> None:
    """Have a thread of this web process look every ``SAMPLE_SECONDS``. Idempotent."""
    global _watching
    if _watching is None or not _watching.is_alive():
        _watching = threading.Thread(target=_watch, name="admission", daemon=True)
        _watching.start()


def _watch() -> None:
    waiting = threading.Event()  # nobody sets it: unlike time.sleep, it waits where a test's library sets the clock
    while True:
        try:
            look()
        except Exception as error:  # the watch outlives whatever it meets
            log.warning("admission_watch_failed", error=type(error).__name__)
        connection.close()  # the next look opens one, as every request does, and takes that into its time
        waiting.wait(SAMPLE_SECONDS)
