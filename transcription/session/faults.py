"""Faults of ours inside a session: each is logged once, and stops nothing but itself."""

from __future__ import annotations

from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)


class Faults:
    """Logs each fault of our own in a session once, by the part in which it happened."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._noted: set[str] = set()

    def guard(self, part: Callable[[], None]) -> None:
        """Run one part of what is done twice a second: a fault in it stops neither the disk's sync nor the others."""
        try:
            part()
        except Exception as error:
            self.note(part.__name__, error)

    def note(self, part: str, error: Exception) -> None:
        if part not in self._noted:  # the same one comes again and again
            self._noted.add(part)
            log.error("session_part_failed", session=self._session_id, part=part, exc_info=error)
