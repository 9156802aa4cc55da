"""A ZIP archive that is made while it travels: what is in memory is what was not yet taken."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from typing import Any


class Sink(io.RawIOBase):
    """Where the archive is written: keeps what was not yet taken, cannot seek."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def take(self) -> Iterator[bytes]:
        pieces, self._pieces = self._pieces, []
        joined = b"".join(pieces)
        if joined:
            yield joined


class Pieces(io.RawIOBase):
    """Pieces as a raw file. Closing it ends the generator that makes them, wherever that is."""

    def __init__(self, pieces: Generator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = next(self._pieces, b"")
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        self._pieces.close()
        super().close()
