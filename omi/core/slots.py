"""How much of something costly may go on at a time: for one user, and in this process.

What finds no slot is told so (``Busy``, 429 with ``Retry-After``), at once or after a short wait; nothing piles up.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import structlog

log = structlog.get_logger(__name__)


class Busy(Exception):
    """429: as much of it goes on already as may; ``seconds`` until it is worth another try."""

    def __init__(self, kind: str, seconds: int) -> None:
        super().__init__(f"Too many {kind} at a time, please try again in {seconds} seconds")
        self.seconds = seconds


class Slot:
    """One place that is taken. ``leave`` may be called more than once."""

    def __init__(self, slots: Slots, uid: str, until: float) -> None:
        self._seats, self.uid, self.until = slots, uid, until

    def leave(self) -> None:
        self._seats.leave(self)


class Kept:
    """A place that is kept beyond the call that took it, such as until an answer has been read. It is given back by
    ``close``, and where nobody holds this object any more."""

    def __init__(self, place: AbstractContextManager[None]) -> None:
        self._place = ExitStack()
        self._place.enter_context(place)

    def close(self) -> None:
        """May be called more than once."""
        self._place.close()

    def __del__(self) -> None:
        self._place.close()


class Slots:
    """The places of one kind in this process. ``seconds``: a slot that nobody left by then is free again."""

    def __init__(self, kind: str, seconds: float) -> None:
        self.kind, self._seconds = kind, seconds
        self._changed = threading.Condition()
        self._taken: set[Slot] = set()
        self._waiting: Counter[str] = Counter()

    def take(self, uid: str, *, per_user: int, in_all: int) -> Slot | None:
        """Take a place; None where there is no place."""
        with self._changed:
            return self._take(uid, per_user, in_all)

    def leave(self, slot: Slot) -> None:
        with self._changed:
            self._taken.discard(slot)
            self._changed.notify_all()

    @contextmanager
    def held(
        self, uid: str, *, per_user: int, in_all: int, patience: float = 0.0, may_wait: int = 0, again: int = 5
    ) -> Iterator[None]:
        """Within a place. Waits up to ``patience`` seconds where no more than ``may_wait`` of this user wait already.

        Raises Busy, which names ``again`` as the seconds to come back in.
        """
        slot = self._wait(uid, per_user, in_all, patience, may_wait)
        if slot is None:
            log.warning("slot_refused", kind=self.kind, uid=uid)
            raise Busy(self.kind, again)
        try:
            yield
        finally:
            slot.leave()

    def _wait(self, uid: str, per_user: int, in_all: int, patience: float, may_wait: int) -> Slot | None:
        until = time.monotonic() + patience
        with self._changed:
            if (slot := self._take(uid, per_user, in_all)) is not None or self._waiting[uid] >= may_wait:
                return slot
            self._waiting[uid] += 1
            try:
                while (left := until - time.monotonic()) > 0:
                    self._changed.wait(left)
                    if (slot := self._take(uid, per_user, in_all)) is not None:
                        return slot
                return None
            finally:
                self._waiting[uid] -= 1
                if not self._waiting[uid]:
                    del self._waiting[uid]

    def _take(self, uid: str, per_user: int, in_all: int) -> Slot | None:
        now = time.monotonic()
        self._taken = {slot for slot in self._taken if slot.until > now}
        if len(self._taken) >= in_all or sum(slot.uid == uid for slot in self._taken) >= per_user:
            return None
        slot = Slot(self, uid, now + self._seconds)
        self._taken.add(slot)
        return slot


DECODERS = Slots("recordings", seconds=600.0)
"""Child processes that decode what a user uploads, while the request waits for them."""
