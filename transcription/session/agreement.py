"""What several vendors agree on, in the shown segments while the session goes on.

The first vendor's words are shown at once; where the others outvote it the segment is corrected as soon as it has ended
and all who listen have decided its words. So what the client sees in the end is what the memory begins with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from transcription.consensus import MODEL, in_shown_segments
from transcription.segments import Segment
from transcription.session.segment_builder import SegmentBuilder
from transcription.session.supervisor import Supervisor

SETTLED = 1.0
"""Seconds after the end of a segment that all vendors must have decided."""
EDGE = 0.25
"""Seconds around the segments of one vote within which a word is theirs."""
PAUSE = 4.0
"""Seconds between two votes."""


class Agreement:
    """Corrects segments that have ended by a vote of the vendors, while the session goes on (mode ``parallel``)."""

    def __init__(self, supervisor: Supervisor, builder: SegmentBuilder, accuracy: Mapping[str, float]) -> None:
        self._supervisor = supervisor
        self._builder = builder
        self._accuracy = accuracy
        self._next = 0  # the first segment that was not voted on

    @property
    def possible(self) -> bool:
        return (
            self._supervisor.mode == "parallel"
            and sum(bool(session.words) for session in self._supervisor.sessions) > 1
        )

    async def so_far(self) -> list[Segment]:
        """Correct the segments that have ended since. Returns those that changed."""
        until = (
            min((session.done_until for session in self._supervisor.sessions if session.live), default=0.0) - SETTLED
        )
        ended = self._builder.segments[self._next : -1]  # the last one may go on
        count = next((n for n, item in enumerate(ended) if item.end > until), len(ended))
        if not count or not self.possible:
            return []
        whole = [item.model_copy() for item in ended[:count]]
        self._next += count
        span = (min(item.start for item in whole) - EDGE, max(item.end for item in whole) + EDGE)
        voted = await asyncio.to_thread(self._vote, whole, span)
        own = {item.id for item in whole}
        return self._builder.retext([item for item in voted if item.id in own])

    async def whole(self) -> tuple[list[Segment], list[Segment]]:
        """At the end: what is agreed on over the whole session, and the shown segments that it changed."""
        if not self.possible:
            return [], []
        agreed = await asyncio.to_thread(self._vote, list(self._builder.segments), None)
        return agreed, self._builder.retext(agreed)

    def _vote(self, shown: list[Segment], span: tuple[float, float] | None) -> list[Segment]:
        words = self._supervisor.voted(self._accuracy, span)
        return in_shown_segments(words, shown, self._builder.scope)


__all__ = ["MODEL", "Agreement"]
