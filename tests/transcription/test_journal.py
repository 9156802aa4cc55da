"""The journal: what was appended is read back, in time, whatever happened to the process or the disk."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import wave
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.transcription.test_codecs import tone
from transcription import journal
from transcription.audio.codecs import Codec, codec
from transcription.client import _opus
from transcription.journal import disk
from transcription.journal.reader import seconds_on_disk
from transcription.journal.recording import entries, recording_for, recording_of
from transcription.journal.writer import Journal
from transcription.ports import Conversation, SessionInfo


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Path) -> None:
    settings.OMI_DATA_DIR = tmp_path


def start(name: str = "pcm16", session: str = "s1", at: datetime | None = None) -> tuple[Journal, Codec]:
    chosen = codec(name)
    info = SessionInfo("u/../1", session, at or datetime.now(UTC), "en", name, chosen.sample_rate)
    return Journal.open(info, chosen, watch=True), chosen


def read(session: str = "s1") -> bytes:
    entry = journal.find(session)
    assert entry is not None
    return b"".join(journal.read_pcm(entry))


def test_pcm_comes_back_as_it_was() -> None:
    it, _ = start()
    data = tone(16000, 2.5).tobytes()
    for at in range(0, len(data), 999):
        assert it.append([data[at : at + 999]])
    it.abandon()
    assert read() == data


def test_opus_comes_back_packet_by_packet_and_a_torn_tail_is_left_out() -> None:
    it, _ = start("opus")
    packets = _opus(tone(16000, 1.0), 160)
    it.append(packets)
    it.abandon()
    with it.entry.audio.open("ab") as file:
        file.write(b"\x50\x00only a part")
    assert len(read()) == len(packets) * 320
    assert seconds_on_disk(it.entry) == pytest.approx(len(packets) / 100)


def test_reading_can_begin_anywhere() -> None:
    it, _ = start("opus")
    it.append(_opus(tone(16000, 3.0), 160))
    it.abandon()
    with journal.Reader(it.entry) as whole, journal.Reader(it.entry) as late:
        everything = whole.read(10)
        late.skip_to(1.234)
        assert late.read(0.5) == everything[round(1.234 * 16000) * 2 :][:16000]


@pytest.mark.parametrize("name", ["pcm16", "opus"])
def test_a_full_disk_leaves_a_hole_of_the_right_length(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written is silence; what follows stands at its time."""
    it, _ = start(name)
    tones = tone(16000, 1.0)
    frames = _opus(tones, 160)[:100] if name == "opus" else [tones.tobytes()]
    real = os.pwrite

    def full(descriptor: int, data: Any, at: int) -> int:
        if len(data) > 100:
            real(descriptor, bytes(data[:50]), at)
        raise OSError(errno.ENOSPC, "disk full")

    assert it.append(frames)
    monkeypatch.setattr("transcription.journal.writer.os.pwrite", full)
    assert not it.append(frames)
    assert it.failed is not None
    monkeypatch.setattr("transcription.journal.writer.os.pwrite", real)
    it._retry_at = 0.0
    assert it.append(frames)
    assert it.failed is None
    it.abandon()
    pcm = np.frombuffer(read(), "<i2")
    assert len(pcm) == pytest.approx(48000, abs=320)
    assert np.abs(pcm[17000:31000]).max() < 50
    assert np.abs(pcm[33000:]).max() > 5000


def test_an_orphan_is_a_session_that_no_living_process_writes() -> None:
    it, _ = start()
    assert [entry.session_id for entry in journal.orphans()] == []
    it.abandon()
    assert [entry.session_id for entry in journal.orphans()] == ["s1"]


def test_the_user_id_never_becomes_a_path() -> None:
    it, _ = start()
    assert it.entry.folder.resolve().is_relative_to(journal.store.root().resolve())
    assert ".." not in str(it.entry.folder)
    assert journal.find("../s1") is None


def test_release_keeps_until_its_time_and_sweep_deletes() -> None:
    it, _ = start()
    it.append([b"\0" * 320])
    it.abandon()
    later = datetime.now(UTC) + timedelta(hours=1)
    assert journal.release("s1", later)
    assert journal.sweep() == 0
    assert journal.sweep(later.timestamp() + 1) == 1
    assert journal.find("s1") is None
    assert not journal.release("s1", None)


def test_finished_audio_that_no_run_asks_for_is_deleted_after_a_month() -> None:
    for name, finished in (("s1", "disconnect"), ("s2", None)):
        it, _ = start(session=name)
        it.append([b"\0" * 320])
        asyncio.run(it.close(finished=finished))
    now = datetime.now(UTC)
    assert journal.sweep((now + timedelta(days=29)).timestamp()) == 0
    assert journal.sweep((now + timedelta(days=31)).timestamp()) == 1
    assert [entry.session_id for entry in journal.sessions()] == ["s2"], "what is not finished is never swept"


def test_forgetting_a_user_deletes_every_session() -> None:
    for name in ("a", "b"):
        it, _ = start(session=name)
        it.abandon()
    assert journal.forget_user("u/../1") == 2
    assert list(journal.sessions()) == []


class Talk:
    def __init__(self, began: datetime, *sessions: str) -> None:
        self.id, self.session_ids, self.timer_start = "c1", list(sessions), began.timestamp()


def test_the_recording_stands_in_conversation_time_with_silence_in_the_gap(tmp_path: Path) -> None:
    """Two sessions, 3 s apart."""
    began = datetime.now(UTC)
    for name, offset in (("s1", 0.0), ("s2", 5.0)):
        it, _ = start(session=name, at=began + timedelta(seconds=offset))
        it.append([tone(16000, 2.0).tobytes()])
        it.attach(Conversation("c1", began, offset))
        it.abandon()
    wav = recording_for("u/../1", Talk(began, "s1", "s2"), tmp_path / "out.wav")
    assert wav is not None
    with wave.open(str(wav)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert len(pcm) == 7 * 16000
    assert np.abs(pcm[2 * 16000 : 5 * 16000]).max() == 0
    assert np.abs(pcm[5 * 16000 :]).max() > 5000


@pytest.mark.parametrize("within", [0.0, 2.0])
def test_a_session_within_another_one_does_not_end_it(tmp_path: Path, within: float) -> None:
    """Two sockets at once, one for a moment only: the recording was silent from there on."""
    began = datetime.now(UTC)
    for name, offset, seconds, level in (("s1", 0.0, 6.0, 1000), ("s2", within, 1.0, 2000)):
        it, _ = start(session=name, at=began + timedelta(seconds=offset, milliseconds=level))
        it.append([np.full(round(seconds * 16000), level, "<i2").tobytes()])
        it.attach(Conversation("c1", began, offset))
        it.abandon()
    path = recording_for("u/../1", Talk(began, "s1", "s2"), tmp_path / "out.wav")
    assert path is not None
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    heard = [int(pcm[round((second + 0.5) * 16000)]) for second in range(6)]
    assert heard == [2000 if within <= second < within + 1 else 1000 for second in range(6)]
    assert len(pcm) == 6 * 16000


def test_a_recording_is_not_made_without_a_session_whose_audio_went_meanwhile(tmp_path: Path) -> None:
    """It was handed over to the store between two looks: whoever asks looks again."""
    began = datetime.now(UTC)
    for name, offset in (("s1", 0.0), ("s2", 5.0)):
        it, _ = start(session=name, at=began + timedelta(seconds=offset))
        it.append([tone(16000, 2.0).tobytes()])
        it.attach(Conversation("c1", began, offset))
        it.abandon()
    journals = list(entries("u/../1", Talk(began, "s1", "s2")).values())
    journals[0].audio.unlink()
    with pytest.raises(FileNotFoundError):
        recording_of(journals, Talk(began, "s1", "s2"), tmp_path / "out.wav")


def test_a_session_that_died_before_it_knew_its_conversation_is_placed_by_its_clock(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    it, _ = start(at=began + timedelta(seconds=1))
    it.append([tone(16000, 1.0).tobytes()])
    it.abandon()
    wav = recording_for("u/../1", Talk(began, "s1"), tmp_path / "out.wav")
    assert wav is not None
    assert wav.stat().st_size == pytest.approx(44 + 64000, abs=2)


def test_no_audio_is_no_recording(tmp_path: Path) -> None:
    assert recording_for("u", Talk(datetime.now(UTC), "nobody"), tmp_path / "out.wav") is None


def test_sessions_are_synced_in_one_turn_and_a_fault_of_one_is_that_ones_only(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []
    synced: list[int] = []
    kept = os.fdatasync

    def sync(descriptor: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            turns.append(threading.get_ident())
        if descriptor == broken._file:
            raise OSError(errno.EIO, "no such sector")
        synced.append(descriptor)
        kept(descriptor)

    async def work() -> None:
        for it in (broken, *well):
            assert it.append([b"\0" * 3200])
            it._synced_at -= 10
            it.sync_when_due()
            it.sync_when_due()  # one under way is enough
        await asyncio.gather(*(it.close() for it in well))

    broken, *well = (start(session=f"s{number}")[0] for number in range(4))
    monkeypatch.setattr(os, "fdatasync", sync)
    asyncio.run(work())
    assert isinstance(broken.failed, OSError)
    assert [it.failed for it in well] == [None] * 3
    assert all(synced.count(it._file) == 2 for it in well)  # in the round, and at the close
    assert len(set(turns[:4])) == 1
    broken.abandon()


def test_many_sessions_are_synced_by_one_call_also_those_that_are_not_due(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    kept = disk.sync_shared
    monkeypatch.setattr(disk, "sync_shared", lambda device: calls.append(device) or kept(device))
    monkeypatch.setattr(disk, "sync", lambda file: pytest.fail("a call for one file"))

    async def work() -> None:
        for it in journals:
            assert it.append([b"\0" * 3200])
        for it in journals[1:]:  # known to the loop, and not due any more
            it._synced_at -= 10
            it.sync_when_due()
        turn = journals[1]._syncing
        assert turn is not None
        await turn
        for it in journals:
            assert it.append([b"\0" * 3200])
        journals[1]._synced_at -= 10
        journals[1].sync_when_due()
        turn = journals[1]._syncing
        assert turn is not None
        await turn

    journals = [start(session=f"s{number}")[0] for number in range(disk.SHARED + 1)]
    asyncio.run(work())
    assert len(calls) == 2
    assert [it._synced_size for it in journals[1:]] == [it._size for it in journals[1:]]
    assert [it.failed for it in journals] == [None] * len(journals)
    for it in journals:
        it.abandon()


def test_a_file_system_that_could_not_keep_something_is_believed_by_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "sync_shared", lambda device: OSError(errno.EIO, "no such sector"))

    async def work() -> None:
        for it in journals:
            assert it.append([b"\0" * 3200])
            it._synced_at -= 10
            it.sync_when_due()
        assert journals[0]._syncing is not None
        await journals[0]._syncing
        assert [it.append([b"\0" * 3200]) for it in journals] == [False] * len(journals)

    journals = [start(session=f"s{number}")[0] for number in range(disk.SHARED)]
    asyncio.run(work())
    assert all(isinstance(it.failed, OSError) for it in journals)
    for it in journals:
        it.abandon()


def test_without_a_call_that_reports_errors_each_file_is_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Linux 5.8, and elsewhere, ``syncfs`` says nothing of what it could not write."""
    disk._syncfs.cache_clear()
    monkeypatch.setattr(disk.platform, "release", lambda: "5.4.0-generic")
    assert not disk.can_share()
    monkeypatch.setattr(disk.platform, "release", lambda: "unknown")
    disk._syncfs.cache_clear()
    assert not disk.can_share()
    disk._syncfs.cache_clear()
