"""The format of a journal's audio, version 2: a file of records, each of which says where it belongs and proves it.

    marker (8 bytes) | kind (u8) | length (u32) | start (u64) | ticks (u32) | CRC-32 (u32) | payload (length bytes)

All little-endian. ``start`` and ``ticks`` place the record in the session, in the codec's ticks (``Codec``). The CRC is
of everything before and behind it. The payload of PCM is the bytes as they came; that of packets is
``<u16 length><packet>`` after one another.

The marker is random, made for each session and kept in its ``meta.json`` (as an Avro container file has one): no client
knows it, so no audio can look like a record. Behind damage the reader looks for it and goes on with the next record
whose CRC holds: a damaged record costs itself only, and as every record carries its place, what is missing (damaged, or
never written) is a hole of exactly its length. A hole is not stored, so its size costs nothing.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MARKER_BYTES = 8
_HEADER = struct.Struct("<8sBIQI")
_CRC = struct.Struct("<I")
_LENGTH = struct.Struct("<H")
HEAD = _HEADER.size + _CRC.size
AUDIO = 1
MAX_PAYLOAD = 64 * 1024 + 2
"""Bytes; more than one packet of any length, and two seconds of PCM at 16 kHz. A longer batch is several records."""
MAX_TICKS = 160_000
"""Ten seconds of packets: packets of two bytes can hold 120 ms each, and a reader decodes a record at once."""
BLOCK = 256 * 1024


class Record(NamedTuple):
    """One piece of a journal's audio: ``start`` and length (``ticks``) in the codec's ticks, and the bytes."""

    start: int
    ticks: int
    payload: bytes


def encode(marker: bytes, record: Record) -> bytes:
    """Return the record as the bytes that are written to the file."""
    start, ticks, payload = record
    head = _HEADER.pack(marker, AUDIO, len(payload), start, ticks)
    return head + _CRC.pack(zlib.crc32(payload, zlib.crc32(head))) + payload


def joined(packets: Iterable[bytes]) -> bytes:
    """Return packets as one payload, each behind its length (u16)."""
    return b"".join([_LENGTH.pack(len(packet)) + packet for packet in packets])


def packets_of(payload: bytes) -> list[bytes]:
    """What ``joined`` made. A torn last packet is left out."""
    found, at = [], 0
    while at + 2 <= len(payload):
        stop = at + 2 + int.from_bytes(payload[at : at + 2], "little")
        if stop > len(payload):
            break
        found.append(payload[at + 2 : stop])
        at = stop
    return found


class RecordFile:
    """Reads records forwards, also of a file that is still being written: ``next`` gives None at the end, and more
    once there is more. Whatever the bytes are, it raises OSError only, and holds one block of them."""

    def __init__(self, descriptor: int, marker: bytes) -> None:
        self._descriptor = descriptor
        self._marker = marker
        self._at = 0
        self._base = 0
        self._block = b""
        self._searched = 0  # no marker begins between ``_at`` and here

    def next(self) -> Record | None:
        found = self._read(self._at)
        if found is None:
            self._block = b""  # what was read earlier may have been written over since
            found = self._read(self._at)
        if found is None:
            at = self._find(max(self._at + 1, self._searched))
            found = self._read(at) if at is not None else None
            if at is None or found is None:
                return None
            self._at = at
        self._at += HEAD + len(found.payload)
        return found

    def seek(self, tick: int) -> None:
        """Go to the last record that begins at ``tick`` or before, by halving the file: whatever its length, this
        reads some twenty blocks."""
        low, high = 0, os.fstat(self._descriptor).st_size
        while high - low > BLOCK:
            middle = (low + high) // 2
            at = self._find(middle, high)
            record = self._read(at) if at is not None else None
            if at is None or record is None or record.start > tick:
                high = middle
            else:
                low = at
        self._at = self._searched = low
        while (record := self.next()) is not None and record.start + record.ticks <= tick:
            low = self._at
        self._at = self._searched = low

    def end(self) -> int:
        """The tick behind the last whole record; 0 where there is none. Reads the file from its end."""
        size = os.fstat(self._descriptor).st_size
        low = size
        while low > 0:
            high, low = low, max(0, low - BLOCK)
            at, last = self._find(low, high), None
            while at is not None and (record := self._read(at)) is not None:
                last = record
                at = self._find(at + HEAD + len(record.payload), size)
            if last is not None:
                return last.start + last.ticks
        return 0

    def _read(self, at: int) -> Record | None:
        """The whole, undamaged record that begins here."""
        head = self._bytes(at, HEAD)
        if len(head) < HEAD or not head.startswith(self._marker):
            return None
        _, kind, length, start, ticks = _HEADER.unpack_from(head)
        if kind != AUDIO or length > MAX_PAYLOAD or ticks > MAX_TICKS:
            return None
        payload = self._bytes(at + HEAD, length)
        (crc,) = _CRC.unpack_from(head, _HEADER.size)
        if len(payload) < length or crc != zlib.crc32(payload, zlib.crc32(head[: _HEADER.size])):
            return None
        return Record(start, ticks, payload)

    def _find(self, at: int, until: int | None = None) -> int | None:
        """Where the first whole record begins that begins at ``at`` or later, and before ``until``."""
        searched: int | None = None
        while until is None or at < until:
            block = self._bytes(at, BLOCK)
            index = block.find(self._marker)
            if index < 0:
                at += max(0, len(block) - (MARKER_BYTES - 1))
                if len(block) < BLOCK:
                    break
                continue
            at += index
            if until is not None and at >= until:
                break
            if self._read(at) is not None:
                return at
            searched = at if searched is None else searched  # it may be whole once its writer is done
            at += 1
        if until is None:
            self._searched = max(self._at, searched if searched is not None else at)
        return None

    def _bytes(self, at: int, size: int) -> bytes:
        offset = at - self._base
        if offset < 0 or offset + size > len(self._block):
            self._base, offset = at, 0
            self._block = os.pread(self._descriptor, max(size, BLOCK), at)
        return self._block[offset : offset + size]


def batches(start: int, items: Iterable[tuple[bytes, int]]) -> Iterator[Record]:
    """Packets with their ticks, already as ``joined`` writes them, in records of at most ``MAX_PAYLOAD`` bytes and
    ``MAX_TICKS``."""
    parts: list[bytes] = []
    size = ticks = 0
    for data, length in items:
        if parts and (size + len(data) > MAX_PAYLOAD or ticks + length > MAX_TICKS):
            yield Record(start, ticks, b"".join(parts))
            start, parts, size, ticks = start + ticks, [], 0, 0
        parts.append(data)
        size += len(data)
        ticks += length
    if parts:
        yield Record(start, ticks, b"".join(parts))
