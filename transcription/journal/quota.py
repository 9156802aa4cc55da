"""How much audio one user may have this server keep, in bytes of the journal: per day, and on the disk at a time. The
disk is everybody's, and so is the database on it.

Honest use is far below: a day of two devices around the clock is 5.5 GB of 16 kHz PCM, or 0.7 GB of Opus.
"""

from __future__ import annotations

import errno
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings

from transcription.journal import store

FRESH_SECONDS = 30.0
"""How long the size of a user's journals is believed; what this process writes is counted meanwhile."""
DAY = 86_400


_LOOKING = ThreadPoolExecutor(max_workers=1, thread_name_prefix="quota")


class Quota:
    """The books of one process."""

    def __init__(self) -> None:
        self._day = 0
        self._written: dict[str, int] = {}  # today
        self._kept: dict[str, tuple[float, int]] = {}  # when looked, bytes on the disk
        self._room: tuple[float, int] = (0.0, 0)  # when looked, free bytes

    def wrote(self, uid: str, size: int) -> None:
        self._turn()
        self._written[uid] = self._written.get(uid, 0) + size
        if uid in self._kept:
            at, kept = self._kept[uid]
            self._kept[uid] = at, kept + size

    def used_up(self, uid: str) -> bool:
        """Whether the user has sent all that one day may bring."""
        self._turn()
        return self._written.get(uid, 0) >= settings.OMI_JOURNAL_BYTES_PER_DAY

    def require(self, uid: str) -> None:
        """Make sure that the user's audio may be kept; raises OSError where the disk is nearly full (ENOSPC), or the
        user's journals fill their share of it (EDQUOT)."""
        now = time.monotonic()
        looked, free = self._room
        if now - looked >= 1.0 or not looked:
            free = shutil.disk_usage(settings.OMI_DATA_DIR).free
            self._room = now, free
        if free < settings.OMI_JOURNAL_FREE_BYTES:
            raise OSError(errno.ENOSPC, "the disk is nearly full")
        looked, kept = self._kept.get(uid, (-FRESH_SECONDS, 0))
        if now - looked >= FRESH_SECONDS:
            self._kept[uid] = now, kept  # until it is known anew
            _LOOKING.submit(self._look, uid)
        if kept >= settings.OMI_JOURNAL_BYTES_PER_USER:
            raise OSError(errno.EDQUOT, "the user's journals fill their share of the disk")

    def _look(self, uid: str) -> None:
        """In a thread: a user may have thousands of journals, and the event loop does not wait for a disk."""
        self._kept[uid] = time.monotonic(), store.size_of(uid)

    def _turn(self) -> None:
        today = int(time.time() // DAY)
        if today != self._day:
            self._day = today
            self._written.clear()
            self._kept.clear()


QUOTA = Quota()
