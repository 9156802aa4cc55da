"""Decoded audio of a journal, from any moment on. Blocking: call it in a thread or a worker."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from transcription.codecs import BYTES_PER_SECOND, open_decoder
from transcription.journal.store import Entry
from transcription.journal.writer import HOLE, MAX_PACKET

CHUNK_SECONDS = 1.0


class Reader:
    """Reads a session's audio forwards. A torn last record (the process died in the write) ends the audio."""

    def __init__(self, entry: Entry) -> None:
        self._codec = entry.codec
        self._decoder = open_decoder(self._codec)
        self._file = entry.audio.open("rb")
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
        while len(self._left) < wanted:
            more = self._decode(max(0.02, (wanted - len(self._left)) / BYTES_PER_SECOND))
            if not more:
                break
            self._left += more
        given, self._left = self._left[:wanted], self._left[wanted:]
        self._position += len(given)
        return given

    def skip_to(self, seconds: float) -> None:
        """Go forwards to a session time. Decodes what it passes: a decoder's state depends on what came before."""
        while self.seconds < seconds - 1e-6:
            if not self.read(min(30.0, seconds - self.seconds)):
                return

    def _decode(self, seconds: float) -> bytes:
        if self._codec.packets:
            packets = self._packets(max(1, round(seconds / self._codec.packet_seconds)))
            return self._decoder.decode(packets)
        while True:
            data = self._file.read(max(2, round(seconds * self._codec.sample_rate) * 2))
            if not data:
                return b""
            decoded = self._decoder.decode([data])
            if decoded:
                return decoded

    def _packets(self, count: int) -> list[bytes]:
        found: list[bytes] = []
        while len(found) < count:
            start = self._file.tell()
            head = self._file.read(2)
            if len(head) < 2:
                self._file.seek(start)
                break
            (size,) = struct.unpack("<H", head)
            if size == HOLE:
                rest = self._file.read(4)
                if len(rest) < 4:
                    self._file.seek(start)
                    break
                found.extend([b""] * struct.unpack("<I", rest)[0])
                continue
            packet = self._file.read(size) if size <= MAX_PACKET else b""
            if len(packet) < size:
                self._file.seek(start)  # not whole yet: a live session's writer may complete it
                break
            found.append(packet)
        return found


def read_pcm(entry: Entry) -> Iterator[bytes]:
    """All of a session as 16 kHz PCM, in pieces of about a second."""
    with Reader(entry) as reader:
        while piece := reader.read(CHUNK_SECONDS):
            yield piece


def seconds_on_disk(entry: Entry) -> float:
    """Length of the journal without decoding it."""
    codec = entry.codec
    try:
        if not codec.packets:
            return entry.audio.stat().st_size // 2 / codec.sample_rate
        with entry.audio.open("rb") as file:
            return _count_packets(file.read()) * codec.packet_seconds
    except FileNotFoundError:
        return 0.0


def _count_packets(data: bytes) -> int:
    at, count = 0, 0
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "little")
        if size == HOLE:
            if at + 6 > len(data):
                break
            count += int.from_bytes(data[at + 2 : at + 6], "little")
            at += 6
            continue
        if size > MAX_PACKET or at + 2 + size > len(data):
            break
        count += 1
        at += 2 + size
    return count
