"""Journals that an earlier version of this server left: read, never written.

PCM stood in the file as it came. Packets stood as ``<u16 length><packet>``; length 0xFFFF meant a hole of ``<u32>``
packets, which a client's own packet of that length could look like. Nothing in such a file can be found again behind
damage, so it ends there.
"""

from __future__ import annotations

from typing import BinaryIO

from transcription.audio.codecs import Codec
from transcription.journal.records import Record

HOLE = 0xFFFF
MAX_HOLE_SECONDS = 86_400
_PIECE_SECONDS = 1.0


class Version1File:
    """Reads a journal of version 1, with the methods of ``RecordFile``."""

    def __init__(self, file: BinaryIO, codec: Codec) -> None:
        self._file = file
        self._codec = codec
        self._tick = 0
        self._nominal = codec.ticks(b"")

    def next(self) -> Record | None:
        return self._packets() if self._codec.packets else self._pcm()

    def _pcm(self) -> Record | None:
        data = self._file.read(round(_PIECE_SECONDS * self._codec.sample_rate) * 2)
        if not data:
            return None
        start, self._tick = self._tick, self._tick + len(data)
        return Record(start, len(data), data)

    def _packets(self) -> Record | None:
        """The next hundred packets; a hole in front of them is left out of their start."""
        parts: list[bytes] = []
        ticks = 0
        while len(parts) < 100:
            at = self._file.tell()
            head = self._file.read(2)
            size = int.from_bytes(head, "little")
            if len(head) == 2 and size == HOLE:
                rest = self._file.read(4)
                hole = int.from_bytes(rest, "little") * self._nominal
                if len(rest) == 4 and hole <= MAX_HOLE_SECONDS * self._codec.ticks_per_second:
                    if parts:
                        self._file.seek(at)
                        break
                    self._tick += hole
                    continue
                self._file.seek(at)
                break
            packet = self._file.read(size) if len(head) == 2 else b""
            if len(head) < 2 or len(packet) < size:
                self._file.seek(at)
                break
            parts.append(head + packet)
            ticks += self._codec.ticks(packet)
        if not parts:
            return None
        start, self._tick = self._tick, self._tick + ticks
        return Record(start, ticks, b"".join(parts))

    def end(self) -> int:
        """Reads the whole file, but decodes nothing."""
        while self.next() is not None:
            pass
        return self._tick
