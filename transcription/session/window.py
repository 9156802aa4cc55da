"""The audio of a running session as its vendors read it: the last seconds in memory, what is older from the journal."""

from __future__ import annotations

import asyncio
from collections import deque

from transcription.audio.codecs import RATE
from transcription.journal.reader import Reader
from transcription.journal.store import Entry

KEEP_SECONDS = 12.0


class AudioWindow:
    """16 kHz mono PCM; positions are samples since the session's first byte. Memory is bounded by ``KEEP_SECONDS``."""

    def __init__(self, entry: Entry | None, keep_seconds: float = KEEP_SECONDS) -> None:
        self._entry = entry
        self._keep = round(keep_seconds * RATE)
        self._pieces: deque[tuple[int, bytes]] = deque()
        self.start = 0
        self.end = 0
        self.closed = False

    def append(self, pcm: bytes) -> None:
        self._pieces.append((self.end, pcm))
        self.end += len(pcm) // 2
        while self._pieces and self.end - (self._pieces[0][0] + len(self._pieces[0][1]) // 2) >= self._keep:
            self._pieces.popleft()
        self.start = self._pieces[0][0] if self._pieces else self.end

    def peek(self, position: int, samples: int) -> bytes:
        """Audio from ``position`` on that is in memory; empty when it is older or has not come yet."""
        if position < self.start or position >= self.end:
            return b""
        last_start, last = self._pieces[-1]
        if last_start == position and len(last) // 2 <= samples:
            return last  # who keeps up asks for the newest piece: no search through twelve seconds
        found: list[bytes] = []
        missing = min(samples, self.end - position)
        for start, pcm in self._pieces:
            stop = start + len(pcm) // 2
            if stop <= position:
                continue
            piece = (
                pcm
                if start == position and stop - start <= missing
                else pcm[(position - start) * 2 : (position - start + missing) * 2]
            )
            found.append(piece)
            position += len(piece) // 2
            missing -= len(piece) // 2
            if missing <= 0:
                break
        return found[0] if len(found) == 1 else b"".join(found)

    def backlog(self) -> Backlog:
        return Backlog(self._entry)


class Backlog:
    """Reads a session's journal forwards, in a thread. One per vendor that has fallen behind the window."""

    def __init__(self, entry: Entry | None) -> None:
        self._entry = entry
        self._reader: Reader | None = None

    async def read(self, position: int, samples: int) -> bytes:
        """Audio from ``position`` on, or empty when the journal does not hold it."""
        if self._entry is None:
            return b""
        return await asyncio.to_thread(self._read, position, samples)

    def _read(self, position: int, samples: int) -> bytes:
        assert self._entry is not None
        try:
            if self._reader is None or round(self._reader.seconds * RATE) > position:
                self.close()
                self._reader = Reader(self._entry)
            self._reader.skip_to(position / RATE)
            if round(self._reader.seconds * RATE) != position:
                return b""
            return self._reader.read(samples / RATE)
        except OSError:
            return b""

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
