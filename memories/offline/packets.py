"""Opus packets one after another, each behind its length (``<u32 little-endian><packet>``): the files of the app.

A damaged length would take everything behind it along. So where a record cannot be one, the next place is looked for
from which several are, and what lies between counts as as many lost packets as would fill it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from transcription.audio.opus_toc import MAX_FRAME, samples

LOST: Final = b"\xff"
"""Given out for a lost packet: no Opus, so it is silence of the codec's length."""
RECORDS: Final = 3
"""As many good records one after another are no coincidence."""
SEARCHED: Final = 1024 * 1024
"""Bytes of one file that are searched; behind more damage it ends."""


class PacketFile:
    """A file of Opus packets, each behind its length, which may be damaged. ``damaged``: a record was none, as far as
    the file was walked through. The first walk begins at its start."""

    def __init__(self, path: Path, longest: int) -> None:
        self.damaged = False
        self._path, self._longest = path, longest
        self._gaps: dict[int, tuple[int, int]] = {}  # where one begins, where it ends, packets that are lost in it
        self._left, self._bytes, self._count = SEARCHED, 0, 0

    def walk(self, at: int = 0) -> Iterator[tuple[int, bytes]]:
        """Packets from a byte on, each with the byte at which its length stands: of lost ones all with the first's."""
        with self._path.open("rb") as file:
            file.seek(at)
            head = file.read(4)
            while len(head) == 4:
                size = int.from_bytes(head, "little")
                packet = file.read(size) if size <= self._longest else b""
                following = file.read(4)
                if len(packet) == size and at not in self._gaps and self._fits(file, packet, following):
                    if packet:
                        self._bytes, self._count = self._bytes + 4 + size, self._count + 1
                        yield at, packet
                    at, head = at + 4 + size, following
                    continue
                if at not in self._gaps:
                    self._gaps[at] = self._gap(file, at, torn=size <= self._longest)
                begins, (at, lost) = at, self._gaps[at]
                for _ in range(lost):
                    yield begins, LOST
                file.seek(at)
                head = file.read(4)

    def _fits(self, file: IO[bytes], packet: bytes, following: bytes) -> bool:
        """Whether a packet is as long as was said: what follows it can be a length, and it is Opus or good ones follow.
        ``following``: the next four bytes, which were read."""
        if not packet:
            return True
        if len(following) == 4 and int.from_bytes(following, "little") > self._longest:
            return False
        if samples(packet):
            return True
        here = file.tell()
        good = self._records(file, here - len(following))
        file.seek(here)
        return good

    def _records(self, file: IO[bytes], at: int) -> bool:
        """Whether good records follow one another from a byte on, until the end of the file where that comes first."""
        file.seek(at)
        for _ in range(RECORDS):
            head = file.read(4)
            if not head:
                return True
            size = int.from_bytes(head, "little")
            packet = file.read(size) if len(head) == 4 and 0 < size <= MAX_FRAME + 2 else b""
            if not packet or len(packet) < size or not samples(packet):
                return False
        return True

    def _gap(self, file: IO[bytes], at: int, *, torn: bool) -> tuple[int, int]:
        """Where it goes on behind a damaged record, and how many packets are lost until then."""
        file.seek(at + 1)
        searched = file.read(self._left)
        self._left -= len(searched)
        place = 0
        while (place := searched.find(b"\0\0", place)) >= 0:  # the upper half of every length
            found = at + 1 + place - 2
            if place >= 2 and any(searched[place - 2 : place]) and self._records(file, found):
                self._left += at + 1 + len(searched) - found
                self.damaged = True
                return found, round((found - at) * self._count / self._bytes) if self._bytes else 0
            place += 1
        self.damaged = self.damaged or not torn  # a last packet that is torn is no damage
        return file.seek(0, 2), 0
