"""Whatever stands in a journal's file, the reader gives audio or nothing: no error, no memory, no time."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.attack.effort import tries
from transcription import journal
from transcription.audio.codecs import BYTES_PER_SECOND, codec
from transcription.journal.reader import Reader, as_sent, seconds_on_disk
from transcription.journal.records import Record, RecordFile, encode, packets_of
from transcription.journal.store import Entry, Meta
from transcription.journal.writer import Journal
from transcription.ports import SessionInfo

MARKER = bytes(range(1, 9))
CODECS = st.sampled_from(["pcm8", "pcm16", "opus", "opus_fs320"])
LIMIT_SECONDS = 60.0
"""Read of one file at most: a hole may be a day long, and is given out second by second."""


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Path) -> None:
    settings.OMI_DATA_DIR = tmp_path


def entry(folder: Path, content: bytes, name: str, version: int) -> Entry:
    folder.mkdir(exist_ok=True)
    meta = Meta("u", "s", datetime.now(UTC).isoformat(), "en", name, 0, version=version, marker=MARKER.hex())
    found = Entry(folder, meta)
    found.audio.write_bytes(content)
    return found


def drained(found: Entry, start: float = 0.0) -> float:
    """Seconds of audio that can be read from ``start`` on."""
    with Reader(found) as reader:
        reader.skip_to(start)
        total = 0
        while total < LIMIT_SECONDS * BYTES_PER_SECOND and (piece := reader.read(1.0)):
            assert len(piece) <= BYTES_PER_SECOND
            total += len(piece)
    return total / BYTES_PER_SECOND


@given(content=st.binary(max_size=4000), name=CODECS, version=st.sampled_from([1, 2]), start=st.floats(0, 1e5))
@tries(150)
def test_arbitrary_bytes_are_read_without_an_error(
    tmp_path: Path, content: bytes, name: str, version: int, start: float
) -> None:
    found = entry(tmp_path / "any", content, name, version)
    assert seconds_on_disk(found) >= 0.0
    assert drained(found) >= 0.0
    assert drained(found, start) >= 0.0
    assert sum(map(len, as_sent(found))) <= len(content)


@given(
    records=st.lists(
        st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=300)), max_size=20
    ),
    name=CODECS,
    start=st.floats(0, 1e6),
)
@tries(150)
def test_records_that_claim_anything_are_bounded(
    tmp_path: Path, records: list[tuple[int, int, bytes]], name: str, start: float
) -> None:
    content = b"".join(encode(MARKER, Record(*record)) for record in records)
    found = entry(tmp_path / "claims", content, name, 2)
    tracemalloc.start()
    drained(found, start)
    drained(found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000


@given(
    batches=st.lists(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=5), min_size=3, max_size=30),
    name=CODECS,
    data=st.data(),
)
@tries(150)
def test_damage_costs_the_records_that_it_touches_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, settings: Any, batches: list[list[bytes]], name: str, data: st.DataObject
) -> None:
    settings.OMI_DATA_DIR = tmp_path_factory.mktemp("damage")
    chosen = codec(name)
    it = Journal.open(SessionInfo("u", "s", datetime.now(UTC), "en", name, chosen.sample_rate), chosen, watch=True)
    ends, ticks = [0], [0]
    for batch in batches:
        assert it.append(batch)
        ends.append(it._size)
        ticks.append(it._tick)
    it.abandon()
    whole = it.entry.audio.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    until = data.draw(st.integers(at + 1, min(len(whole), at + 300)))
    kind = data.draw(st.sampled_from(["overwritten", "removed", "inserted"]))
    with_what = data.draw(st.binary(min_size=until - at, max_size=until - at))
    tail = whole[at:] if kind == "inserted" else whole[until:]
    it.entry.audio.write_bytes(whole[:at] + (b"" if kind == "removed" else with_what) + tail)
    hurt = {
        index
        for index in range(len(batches))
        if ends[index] < (at + 1 if kind == "inserted" else until) and ends[index + 1] > at
    }
    with it.entry.audio.open("rb") as file:
        source = RecordFile(file.fileno(), bytes.fromhex(it.entry.meta.marker))
        found: dict[int, bytes] = {}
        while (record := source.next()) is not None:
            found[record.start] = found.get(record.start, b"") + record.payload
    for index, batch in enumerate(batches):
        if index in hurt or ticks[index] == ticks[index + 1]:
            continue
        kept = found[ticks[index]]
        assert (packets_of(kept) if chosen.packets else [kept]) == (batch if chosen.packets else [b"".join(batch)])


@given(frames=st.lists(st.binary(max_size=70_000), max_size=5), name=st.sampled_from(["opus", "pcm16"]))
@tries(40)
def test_no_frame_of_a_client_becomes_a_hole_or_a_record(
    tmp_path_factory: pytest.TempPathFactory, settings: Any, frames: list[bytes], name: str
) -> None:
    settings.OMI_DATA_DIR = tmp_path_factory.mktemp("forged")
    chosen = codec(name)
    frames = [frame[: chosen.max_frame] for frame in frames]
    it = Journal.open(SessionInfo("u", "s", datetime.now(UTC), "en", name, chosen.sample_rate), chosen, watch=True)
    for frame in frames:
        assert it.append([frame])
    it.abandon()
    found = list(as_sent(it.entry))
    told = [packet for payload in found for packet in packets_of(payload)] if chosen.packets else [b"".join(found)]
    assert told == (frames if chosen.packets else [b"".join(frames)])
    assert seconds_on_disk(it.entry) == pytest.approx(sum(map(chosen.ticks, frames)) / chosen.ticks_per_second)
    assert [item.session_id for item in journal.sessions("u")] == ["s"]
