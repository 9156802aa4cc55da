"""A session's segments divided into bounded runs, so that storing costs what is new, however long the session is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from transcription.ports import Piece
from transcription.segments import Segment

PIECE_SEGMENTS = 24
PIECE_CHARACTERS = 4000
"""A run that has so many segments, or so much text, takes no further segment. The last segment of a run may still grow
(to a minute of speech), so this bounds what one store writes."""


class Pieces:
    """Which segment lies in which run, and which runs have changed since they were taken. A segment never moves."""

    def __init__(self) -> None:
        self._runs: list[list[Segment]] = []
        self._run_of: dict[str, int] = {}
        self._changed: set[int] = set()

    def changed(self, segments: Iterable[Segment]) -> None:
        """These segments are new, or are not as they were stored."""
        for segment in segments:
            number = self._run_of.get(segment.id)
            self._changed.add(number if number is not None else self._place(segment))

    def all_changed(self) -> None:
        """Mark all pieces as changed, as nothing of what was taken counts: the segments go to another conversation."""
        self._changed = set(range(len(self._runs)))

    def take(self) -> list[Piece]:
        """The runs that have changed since the last call."""
        numbers, self._changed = sorted(self._changed), set()
        return [Piece(number, tuple(self._runs[number])) for number in numbers]

    def put_back(self, pieces: Iterable[Piece]) -> None:
        """What was taken could not be stored."""
        self._changed.update(piece.number for piece in pieces)

    def _place(self, segment: Segment) -> int:
        if not self._runs or _is_full(self._runs[-1]):
            self._runs.append([])
        self._runs[-1].append(segment)
        number = self._run_of[segment.id] = len(self._runs) - 1
        return number


def divided(segments: Iterable[Segment]) -> list[Piece]:
    """Return all segments of a session as its pieces."""
    pieces = Pieces()
    pieces.changed(segments)
    return pieces.take()


def _is_full(run: Sequence[Segment]) -> bool:
    return len(run) >= PIECE_SEGMENTS or sum(len(item.text) for item in run) >= PIECE_CHARACTERS
