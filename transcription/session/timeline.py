"""From a vendor stream's seconds to the session's: where each stretch that was sent came from.

A vendor counts from the first byte of its own connection. A reconnected stream starts in the middle of the session,
and a gate may have cut silence out of it; so the mapping is a list of stretches, not one offset.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

RATE = 16_000


@dataclass(slots=True)
class Timeline:
    """Stretches in samples at 16 kHz: ``stream[i]`` is where the stretch begins in the stream, ``session[i]`` where it
    begins in the session. The last one ends at ``sent``."""

    stream: list[int] = field(default_factory=list)
    session: list[int] = field(default_factory=list)
    sent: int = 0

    def add(self, session_start: int, samples: int) -> None:
        """Note that ``samples`` were sent that begin at ``session_start`` of the session."""
        if not self.stream or self.session[-1] + (self.sent - self.stream[-1]) != session_start:
            self.stream.append(self.sent)
            self.session.append(session_start)
        self.sent += samples

    def to_session(self, seconds: float, *, end: bool = False) -> float:
        """Session seconds of a moment of the stream. With ``end`` a moment between two stretches belongs to the earlier
        one, so that a word's end never jumps over the silence that was cut out."""
        if not self.stream:
            return seconds
        at = min(max(0.0, seconds * RATE), float(self.sent))
        # Vendors round to 10 ms: a start just before a stretch is that stretch's, an end just after it is not.
        slack = 0.02 * RATE
        index = bisect_left(self.stream, at - slack) - 1 if end else bisect_right(self.stream, at + slack) - 1
        index = max(0, index)
        length = (self.stream[index + 1] if index + 1 < len(self.stream) else self.sent) - self.stream[index]
        return (self.session[index] + min(max(0.0, at - self.stream[index]), length)) / RATE
