"""A fault inside a session is its own: the journal is synced and let go, what was said is stored, and it is logged."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.transcription.fakes import MemorySink, Script, spoken_pcm
from tests.transcription.live_session import TEN, Run, run, words
from transcription import journal
from transcription.metrics import JOURNAL_FAILURES


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Path) -> None:
    settings.OMI_DATA_DIR = tmp_path


def broken(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("a fault of ours")


@pytest.mark.parametrize(
    "part", ["_supervisor.finish", "accounting", "_transcripts", "_storing.hand_over", "_supervisor.transcripts"]
)
def test_a_fault_at_the_end_lets_go_of_the_journal_and_is_logged(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, the journal stayed locked until the process was started anew: nobody could recover it."""
    vendor = Script()
    it = Run(vendor)
    *owner, name = part.split(".")
    monkeypatch.setattr(getattr(it.session, owner[0]) if owner else it.session, name, broken)
    with capture_logs() as logs:
        run(lambda: it.live(spoken_pcm(TEN)))
    assert [entry["part"] for entry in logs if entry["event"] == "session_part_failed"] == ["finish"]
    [orphan] = journal.orphans()
    assert journal.reader.seconds_on_disk(orphan) == pytest.approx(5.0)
    assert all(stream.closed for stream in vendor.streams)


@pytest.mark.parametrize("part", ["_supervisor.tick", "_gap_reached", "_voices.tick", "_journal.sync_when_due"])
def test_a_fault_once_a_second_stops_neither_the_sync_nor_the_storing(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.transcription.live_session import Labeller

    sink = MemorySink()
    monkeypatch.setattr("transcription.session.session.STORE_SECONDS", 0.0)
    it = Run(Script(), sink=sink, labeller=Labeller())
    *owner, name = part.split(".")
    monkeypatch.setattr(getattr(it.session, owner[0]) if owner else it.session, name, broken)
    synced: list[int] = []
    if part != "_journal.sync_when_due":
        monkeypatch.setattr(it.session._journal, "sync_when_due", lambda: synced.append(1))

    async def work() -> None:
        it.session.start()
        await it.feed(spoken_pcm(TEN))
        for _ in range(400):
            if sink.stored and (synced or part == "_journal.sync_when_due"):
                break
            await asyncio.sleep(0.02)
        assert sink.stored
        monkeypatch.undo()
        await it.session.finish("disconnect")

    with capture_logs() as logs:
        run(work)
    assert len([entry for entry in logs if entry["event"] == "session_part_failed"]) == 1
    assert it.shown == words(*TEN)
    assert [item.reason for item in sink.finished] == ["disconnect"]


def test_a_session_that_is_discarded_stores_nothing_more_and_leaves_no_journal() -> None:
    sink = MemorySink()
    it = Run(Script(), sink=sink)

    async def work() -> None:
        it.session.start()
        await it.feed(spoken_pcm(TEN))
        it.session.finish("disconnect")
        await asyncio.sleep(0)
        await it.session.discard()
        await asyncio.sleep(0.1)

    run(work)
    assert sink.finished == []
    assert list(journal.sessions()) == []


def test_a_disk_that_could_not_sync_is_told_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error was forgotten with the next write that succeeded."""
    import errno
    import os

    monkeypatch.setattr("transcription.journal.writer.SYNC_SECONDS", 0.0)
    it = Run(Script())
    kept, failed = os.fdatasync, []

    def sync(descriptor: int) -> None:
        if not failed:
            failed.append(descriptor)
            raise OSError(errno.EIO, "no such sector")
        kept(descriptor)

    monkeypatch.setattr(os, "fdatasync", sync)

    async def work() -> None:
        it.session.start()
        for _ in range(1000):
            await it.feed(spoken_pcm([1]), pause=0.0)
            if "degraded" in it.states():
                break
            await asyncio.sleep(0.02)
        for _ in range(60):  # and later ones that succeed
            await it.feed(spoken_pcm([2]), pause=0.0)
            await asyncio.sleep(0.02)
        await it.session.finish("disconnect")

    run(work)
    assert [status["reason"] for status in it.statuses if status["status"] == "degraded"] == ["journal"]
    assert "journal_recovered" not in [status["reason"] for status in it.statuses]


def test_a_session_whose_journal_cannot_be_opened_goes_on_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that became read-only: nothing of the session is kept, and nobody was told."""

    def refuses(*_: Any, **__: Any) -> Any:
        raise OSError("read-only")

    monkeypatch.setattr(journal.Journal, "open", refuses)
    before = JOURNAL_FAILURES.labels("open")._value.get()
    it = Run(Script())
    run(lambda: it.live(spoken_pcm(TEN)))
    assert it.shown == words(*TEN)
    assert JOURNAL_FAILURES.labels("open")._value.get() == before + 1
