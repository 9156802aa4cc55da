"""Decoded audio of a journal, from any moment on. Blocking: call it in a thread or a worker."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO

from transcription.audio.codecs import BYTES_PER_SECOND, Codec, open_decoder
from transcription.journal.records import MARKER_BYTES, Record, RecordFile, packets_of
from transcription.journal.store import VERSION, Entry
from transcription.journal.version1 import MAX_HOLE_SECONDS, Version1File

CHUNK_SECONDS = 1.0
JUMP_SECONDS = 5.0
"""Further ahead than this the records between are not decoded but passed over."""
PRE_ROLL_SECONDS = 2.0
"""Decoded before the audio that is wanted after a jump: a decoder's state depends on what came before. RFC 7845 4.6
asks for 0.08 s; two seconds cost two milliseconds."""


class Reader:
    """Reads a session's audio forwards. A torn last record (the process died in the write) ends the audio; a damaged
    one in the middle is silence of its length."""

    def __init__(self, entry: Entry) -> None:
        self._codec = entry.codec
        self._decoder = open_decoder(self._codec)
        self._file = entry.audio.open("rb")
        self._source = _source(entry, self._file, self._codec)
        self._tick = 0  # of the next piece to be decoded
        self._next: Record | None = None  # read, and behind a hole
        self._position = 0  # bytes of decoded PCM given so far
        self._left = b""

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def seconds(self) -> float:
        """Session time of the next byte."""
        return self._position / BYTES_PER_SECOND

    def read(self, seconds: float) -> bytes:
        """The next ``seconds`` of audio as 16 kHz PCM; less at the end of what is on disk, empty when there is none."""
        wanted = round(seconds * BYTES_PER_SECOND) & ~1
        pieces, held = [self._left], len(self._left)
        while held < wanted and (more := self._decode()):
            pieces.append(more)
            held += len(more)
        whole = b"".join(pieces)
        given, self._left = whole[:wanted], whole[wanted:]
        self._position += len(given)
        return given

    def skip_to(self, seconds: float) -> None:
        """Go forwards to a session time. What lies far before it is not decoded."""
        if seconds - self.seconds > JUMP_SECONDS and isinstance(self._source, RecordFile):
            self._jump(self._source, seconds - PRE_ROLL_SECONDS)
        while self.seconds < seconds - 1e-6:
            if not self._pass_hole(seconds) and not self.read(min(CHUNK_SECONDS, seconds - self.seconds)):
                return

    def _pass_hole(self, seconds: float) -> bool:
        """Go through the hole that comes next, up to a session time; a hole of hours is not read second by second."""
        if self._next is None or self._left:
            return False
        rate = self._codec.ticks_per_second
        ticks = min(self._next.start - self._tick, round((seconds - self.seconds) * rate)) // self._step * self._step
        if ticks <= rate:
            return False
        self._tick += ticks
        self._position += ticks * BYTES_PER_SECOND // rate
        return True

    def _jump(self, source: RecordFile, seconds: float) -> None:
        rate = self._codec.ticks_per_second
        source.seek(round(seconds * rate))
        record = source.next()
        if record is None or record.start <= self._tick:
            return
        self._left, self._decoder = b"", open_decoder(self._codec)
        # The first sample that is decoded must be one of the output's: at 48 kHz every third.
        cut = -record.start % self._step
        self._tick = record.start + cut
        self._next = Record(self._tick, record.ticks - cut, record.payload[cut:]) if cut < record.ticks else None
        self._position = self._tick * BYTES_PER_SECOND // rate

    @property
    def _step(self) -> int:
        """Ticks in which whole samples of the output begin."""
        if self._codec.packets:
            return 1
        return 2 * max(1, self._codec.sample_rate // 16_000)

    def _decode(self) -> bytes:
        """The next piece, of any length; empty where there is nothing more on disk."""
        while True:
            record = self._next if self._next is not None else self._source.next()
            self._next = None
            if record is None:
                return b""
            hole = record.start - self._tick
            if hole < 0 or hole > MAX_HOLE_SECONDS * self._codec.ticks_per_second:
                continue  # written twice, or by a clock that nobody has
            if hole:
                self._next = record
                piece = self._silence(min(hole, self._codec.ticks_per_second))
            else:
                self._tick += record.ticks
                piece = self._decoded(record)
            if piece:
                return piece

    def _decoded(self, record: Record) -> bytes:
        if not self._codec.packets:
            return self._decoder.decode([record.payload])
        return self._decoder.decode(packets_of(record.payload))[: record.ticks * 2].ljust(record.ticks * 2, b"\0")

    def _silence(self, ticks: int) -> bytes:
        self._tick += ticks
        return bytes(ticks * 2) if self._codec.packets else self._decoder.decode([bytes(ticks)])


def _source(entry: Entry, file: BinaryIO, codec: Codec) -> RecordFile | Version1File:
    if entry.meta.version == VERSION:
        return RecordFile(file.fileno(), _marker(entry, file))
    return Version1File(file, codec)


def _marker(entry: Entry, file: BinaryIO) -> bytes:
    """That of ``meta.json``; where it says none that can be, the file begins with it."""
    with contextlib.suppress(ValueError):
        if len(found := bytes.fromhex(entry.meta.marker)) == MARKER_BYTES:
            return found
    return os.pread(file.fileno(), MARKER_BYTES, 0).ljust(MARKER_BYTES, b"\0")


def read_pcm(entry: Entry) -> Iterator[bytes]:
    """Yield all audio of a session as 16 kHz PCM, in pieces of about a second."""
    with Reader(entry) as reader:
        while piece := reader.read(CHUNK_SECONDS):
            yield piece


def as_sent(entry: Entry) -> Iterator[bytes]:
    """The audio as the device sent it: PCM, or ``<u16 length><packet>``. Holes are left out."""
    with entry.audio.open("rb") as file:
        source = _source(entry, file, entry.codec)
        while (record := source.next()) is not None:
            yield record.payload


def seconds_on_disk(entry: Entry) -> float:
    """Return the length of the journal without decoding it; 0 where its audio is not there."""
    try:
        return seconds_of(entry)
    except FileNotFoundError:
        return 0.0


def seconds_of(entry: Entry) -> float:
    """Return the length of the journal without decoding it; raises FileNotFoundError where its audio is not there."""
    with entry.audio.open("rb") as file:
        return _source(entry, file, entry.codec).end() / entry.codec.ticks_per_second
