"""The journal against hostile frames, a disk that lies, and processes that come between: a bad record costs itself."""

from __future__ import annotations

import asyncio
import errno
import os
import struct
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.transcription.test_codecs import tone
from tests.transcription.test_journal import read, start
from transcription import journal
from transcription.audio.codecs import codec
from transcription.audio.opus_toc import MAX_PACKET
from transcription.client import _opus
from transcription.journal.reader import as_sent, seconds_on_disk
from transcription.journal.store import OPEN, REMOVED, Meta, root, user_folder


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Path) -> None:
    settings.OMI_DATA_DIR = tmp_path


@pytest.mark.parametrize("size", [4001, 5000, 61_000, 65_534, 65_535])
def test_one_hostile_frame_costs_its_own_time_and_nothing_behind_it(size: int) -> None:
    """Of an earlier format 5,000 bytes made the rest unreadable, and 65,535 were a hole of billions of packets."""
    it, _ = start("opus")
    packets = _opus(tone(16000, 1.0), 160)
    for packet in (*packets, b"\xff" * size, *packets):
        assert it.append([packet])
    it.abandon()
    pcm = np.frombuffer(read(), "<i2")
    assert len(pcm) == (2 * len(packets) + 1) * 160
    assert np.abs(pcm[-8000:]).max() > 5000
    assert seconds_on_disk(it.entry) == pytest.approx(len(pcm) / 16000)


def test_a_batch_of_many_frames_is_several_records() -> None:
    it, _ = start("opus")
    assert it.append([bytes([0]) + bytes(1000)] * 300)
    assert it.append([b"\x03\x01"] * 5000)
    it.abandon()
    assert len(list(as_sent(it.entry))) > 5
    assert seconds_on_disk(it.entry) == pytest.approx(3.0 + 50.0)


def test_a_damaged_record_is_silence_of_its_length() -> None:
    it, _ = start()
    for _ in range(10):
        it.append([tone(16000, 0.5).tobytes()])
    it.abandon()
    with it.entry.audio.open("r+b") as file:
        file.seek(4 * (16000 + 29) + 100)
        file.write(b"\xde\xad\xbe\xef")
    pcm = np.frombuffer(read(), "<i2")
    assert len(pcm) == 80000
    assert np.abs(pcm[32000:40000]).max() == 0
    assert np.abs(pcm[40000:48000]).max() > 5000


def test_a_hole_of_hours_costs_neither_memory_nor_time() -> None:
    it, _ = start("opus")
    packets = _opus(tone(16000, 1.0), 160)[:100]
    it.append(packets)
    it._tick += 8 * 3600 * 16000
    it.append(packets)
    it.abandon()
    assert it.entry.audio.stat().st_size < 40_000
    began = time.process_time()
    with journal.Reader(it.entry) as reader:
        reader.skip_to(8 * 3600 + 1.5)
        rest = reader.read(10)
    assert len(rest) == pytest.approx(16000, abs=640)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(("name", "rate"), [("opus", None), ("pcm8", None), ("pcm16", 48000)])
def test_reading_on_after_hours_does_not_decode_them(name: str, rate: int | None, monkeypatch: Any) -> None:
    """A vendor that connects again after eight hours waited 30 s, and so did every other socket (decoding holds the
    interpreter's lock)."""
    chosen = codec(name, rate)
    from transcription.journal.writer import Journal
    from transcription.ports import SessionInfo

    info = SessionInfo("u", "s1", datetime.now(UTC), "en", name, chosen.sample_rate)
    it = Journal.open(info, chosen, watch=True)
    moments = np.arange(round(chosen.sample_rate * 120)) / chosen.sample_rate
    loud = (np.sin(moments * 2 * np.pi * 300) * 12000 * np.sin(moments * 0.5) ** 2).astype("<i2")
    if chosen.packets:
        frames = _opus(loud, 160)
    else:
        data = loud.tobytes()
        frames = [data[at : at + 9601] for at in range(0, len(data), 9601)]
    for at in range(0, len(frames), 4):
        it.append(frames[at : at + 4])
    it.abandon()
    whole = read()
    for wanted in (30.0, 61.2345, 119.0):
        counted: list[int] = []
        with journal.Reader(it.entry) as reader:
            decode = reader._decode
            monkeypatch.setattr(reader, "_decode", lambda count=counted.append, of=decode: count(1) or of())
            reader.skip_to(wanted)
            assert reader.seconds == pytest.approx(wanted, abs=1e-4)
            heard = np.frombuffer(reader.read(0.5), "<i2").astype(int)
            expected = np.frombuffer(whole, "<i2")[round(wanted * 16000) :][: len(heard)].astype(int)
        assert len(heard) == 8000
        assert np.abs(heard - expected).max() <= (200 if chosen.packets else 1)
        assert len(counted) < 100  # two and a half seconds, of two minutes


@pytest.mark.parametrize("name", ["pcm16", "opus"])
def test_a_journal_of_the_earlier_format_is_read_to_its_end(name: str) -> None:
    folder = user_folder("u") / "old"
    folder.mkdir(parents=True)
    packets = _opus(tone(16000, 1.0), 160)[:100]
    if name == "opus":
        stored = b"".join(struct.pack("<H", len(item)) + item for item in packets)
        # A packet that the earlier reader stumbled over, a hole of a second, and a torn end.
        data = stored + struct.pack("<H", 5000) + bytes(5000) + struct.pack("<HI", 0xFFFF, 100) + stored + b"\x50\x00to"
        expected = 1.0 + 0.01 + 1.0 + 1.0
    else:
        data, expected = tone(16000, 3.0).tobytes(), 3.0
    (folder / "audio.bin").write_bytes(data)
    (folder / "meta.json").write_text(
        '{"uid": "u", "session_id": "old", "started_at": "2026-01-01T00:00:00+00:00", "language": "en", '
        f'"codec": "{name}", "sample_rate": 16000, "watch": true, "device_id": "", "state": "open"}}'
    )
    [orphan] = journal.orphans()
    assert seconds_on_disk(orphan) == pytest.approx(expected)
    pcm = np.frombuffer(read("old"), "<i2")
    assert len(pcm) == round(expected * 16000)
    assert np.abs(pcm[-8000:]).max() > 5000


def test_a_hole_of_the_earlier_format_that_a_client_forged_ends_the_audio_and_costs_nothing() -> None:
    folder = user_folder("u") / "old"
    folder.mkdir(parents=True)
    (folder / "audio.bin").write_bytes(struct.pack("<HI", 0xFFFF, 4_000_000_000) + bytes(65_531))
    meta = Meta("u", "old", datetime.now(UTC).isoformat(), "en", "opus", 16000)
    journal.Entry(folder, meta).save()
    assert read("old") == b""


@pytest.mark.parametrize("marker", ["", "zz", "00"])
def test_a_meta_without_a_marker_costs_no_audio(marker: str) -> None:
    it, _ = start()
    it.append([tone(16000, 1.0).tobytes()])
    it.abandon()
    it.entry.meta.marker = marker
    it.entry.save()
    assert len(read()) == 32000


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_an_error_of_the_disks_sync_is_remembered_to_the_end_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux reports it once, and the pages are gone: that the next one succeeds says nothing of what was lost."""
    it, _ = start()
    kept = os.fdatasync
    answers = [OSError(errno.EIO, "no such sector"), None, None, None]

    def sync(descriptor: int) -> None:
        if (error := answers.pop(0)) is not None:
            raise error
        kept(descriptor)

    monkeypatch.setattr(os, "fdatasync", sync)

    async def work() -> list[bool]:
        said = []
        for _ in range(3):
            said.append(it.append([bytes(320)]))
            it._synced_at -= 10
            it.sync_when_due()
            assert it._syncing is not None
            await asyncio.wait([it._syncing])
        said.append(it.append([bytes(320)]))
        await it.close()
        return said

    assert asyncio.run(work()) == [True, False, False, False]
    assert it.failed is not None


def test_the_entry_of_every_new_folder_is_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a machine that loses power has the audio, and no name for it."""
    synced: set[str] = set()
    kept = os.fsync

    def sync(descriptor: int) -> None:
        synced.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        kept(descriptor)

    it, _ = start()
    monkeypatch.setattr(os, "fsync", sync)
    it.append([bytes(320)])
    assert it.sync() is None
    folder = it.entry.folder
    assert {str(path) for path in (folder / "meta.json", folder, folder.parent, root(), root().parent)} <= synced
    it.abandon()


def test_what_is_missing_at_the_end_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk refused the last second and is back for the close: the session is as long as it was."""
    it, _ = start()
    real = os.pwrite
    it.append([bytes(32000)])

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, "pwrite", full)
    assert not it.append([bytes(32000)])
    monkeypatch.setattr(os, "pwrite", real)
    asyncio.run(it.close(finished="disconnect"))
    assert seconds_on_disk(it.entry) == pytest.approx(2.0)


# --- others at the same folder ----------------------------------------------------------------------------------------


def test_a_session_that_another_process_finished_before_the_lock_is_left_alone() -> None:
    it, _ = start()
    it.append([bytes(320)])
    [stale] = journal.sessions()
    assert stale.meta.state == OPEN
    asyncio.run(it.close(finished="disconnect"))
    assert journal.claim(stale) is None


def test_a_session_that_was_removed_before_the_lock_stays_removed() -> None:
    it, _ = start()
    it.abandon()
    [stale] = journal.orphans()
    stale.remove()
    assert journal.claim(stale) is None
    assert stale.lock() is None
    assert not stale.folder.exists()
    assert list(root().glob("*/*")) == []


def test_a_lock_that_is_made_while_a_session_is_removed_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    it, _ = start()
    it.abandon()
    kept = shutil.rmtree
    taken: list[int | None] = []

    def rmtree(path: Any, **more: Any) -> None:
        taken.append(it.entry.lock())  # another process, which has just listed the folder
        kept(path, **more)

    monkeypatch.setattr("transcription.journal.store.shutil.rmtree", rmtree)
    it.entry.remove()
    assert taken == [None]
    assert not it.entry.folder.exists()


def test_a_session_is_not_there_for_others_before_its_lock_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    kept = journal.Entry.lock

    def lock(entry: journal.Entry) -> int | None:
        seen.append(len(list(journal.sessions())))
        return kept(entry)

    monkeypatch.setattr(journal.Entry, "lock", lock)
    it, _ = start()
    assert seen == [0]
    it.abandon()


def test_a_removal_that_was_cut_off_is_finished_by_the_next_sweep() -> None:
    rest = root() / REMOVED / "half"
    rest.mkdir(parents=True)
    (rest / "audio.bin").write_bytes(b"rest")
    assert list(journal.sessions()) == []
    journal.sweep()
    assert not rest.exists()


def test_no_opus_packet_is_larger_than_the_door_lets_in() -> None:
    assert codec("opus").max_frame == MAX_PACKET < 65_536
