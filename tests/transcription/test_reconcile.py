"""Sessions whose process died, or whose stores were down to the end, still become memories; once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from omi.core import providers
from tests.transcription.fakes import MemorySink, Script, spoken_pcm
from tests.transcription.live_session import Run, words
from transcription import journal
from transcription.session import storing
from transcription.session.recovery import recover_sessions

pytestmark = pytest.mark.django_db  # what is counted stands in rows
SINK = MemorySink()


def shared_sink() -> MemorySink:
    return SINK


@pytest.fixture
def sink(settings: Any, tmp_path: Path) -> MemorySink:
    settings.OMI_DATA_DIR = tmp_path
    settings.PROVIDERS = {**settings.PROVIDERS, "session_sink": {"BACKEND": f"{__name__}.shared_sink"}}
    providers.forget()
    SINK.__init__()  # type: ignore[misc]
    return SINK


def test_a_killed_session_is_finished_once_with_what_was_not_decided_as_failed(sink: MemorySink) -> None:
    async def work() -> None:
        it = Run(Script(), sink=sink)
        it.session.start()
        await it.feed(spoken_pcm([1, 2, 3, 4]))
        async with asyncio.timeout(20):
            while not sink.conversations or sink.text() != " ".join(words(1, 2, 3, 4)):
                await asyncio.sleep(0.02)
        await it.session.abort()

    asyncio.run(work())
    assert recover_sessions() == 1
    assert recover_sessions() == 0
    [finished] = sink.finished
    assert finished.reason == "recovered"
    account = finished.accounting
    assert account is not None
    assert account.received == pytest.approx(2.0)
    assert account.transcribed + account.silence + account.failed == pytest.approx(2.0)
    assert sink.text() == " ".join(words(1, 2, 3, 4))


def test_the_audio_of_a_killed_session_that_only_transcribed_is_deleted(sink: MemorySink) -> None:
    async def work() -> None:
        it = Run(Script(), sink=sink, watch=False)
        it.session.start()
        await it.feed(spoken_pcm([1, 2, 3, 4]))
        await it.session.abort()

    asyncio.run(work())
    assert recover_sessions() == 1
    assert list(journal.sessions()) == []
    assert sink.finished == []


def test_what_was_heard_while_the_store_was_down_is_stored_by_recovery(
    sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "SINK_TRIES", 1)
    sink.down = True

    async def work() -> None:
        it = Run(Script(), sink=sink)
        it.session.start()
        await it.feed(spoken_pcm([1, 2, 3, 4]))
        await it.session.finish("finish", keep=True)

    asyncio.run(work())
    assert recover_sessions() == 0
    sink.down = False
    assert recover_sessions() == 1
    assert sink.text() == " ".join(words(1, 2, 3, 4))
    assert sink.finished[0].keep
    assert sink.finished[0].accounting.failed == 0  # type: ignore[union-attr]
    assert sink.transcripts["c0"]["alpha_streaming"]


def test_an_orphan_without_audio_leaves_nothing(sink: MemorySink) -> None:
    async def work() -> None:
        it = Run(Script(), sink=sink)
        it.session.start()
        it.session.feed([b"\0" * 320])
        await it.session.abort()

    asyncio.run(work())
    recover_sessions()
    assert not sink.finished
    assert list(journal.sessions()) == []


def test_recovered_speakers_are_counted_on_from_those_of_the_earlier_session(
    sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was down, so the session did not know that its conversation goes on."""
    monkeypatch.setattr(storing, "SINK_TRIES", 1)
    stored: list[set[str]] = []
    keep = sink.store

    async def store(info: Any, conversation: Any, pieces: Any, **more: Any) -> None:
        stored.append({item.speaker for piece in pieces for item in piece.segments})
        await keep(info, conversation, pieces, **more)

    monkeypatch.setattr(sink, "store", store)

    async def work() -> None:
        for down in (False, True):
            sink.down = down
            it = Run(Script(diarization=True, voices=1), sink=sink)
            it.session.start()
            await it.feed(spoken_pcm([1, 2, 3, 4]))
            await it.session.finish("disconnect")

    asyncio.run(work())
    sink.down = False
    assert recover_sessions() == 1
    assert stored[0] == {"SPEAKER_00"}
    assert [speakers for speakers in stored if speakers][-1] == {"SPEAKER_01"}
