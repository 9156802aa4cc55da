"""The local engine behind the live port: a child process hears the bundled conversation."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from demo.measure import normalise, word_error_rate
from demo.vendors.truth import Library
from omi.core.errors import ErrorKind, ProviderError, UnsupportedFeature
from tests.transcription.live_session import Run
from transcription.session.vendor_state import Tuning
from transcription.vendors.live.base import NO_ROOM, LiveRequest, LiveResult
from transcription.vendors.live.local import LocalLive

DEMO = Path(__file__).resolve().parents[2] / "demo" / "recordings" / "conversation.json"


@pytest.mark.model
def test_words_come_in_stream_time_and_the_end_is_decided() -> None:
    [recording] = Library([]).load(DEMO)
    pcm = recording.at(16000)[: 16000 * 10].tobytes()
    true = [word for word in recording.words if word.end < 10.0]

    async def work() -> list[LiveResult]:
        stream = await LocalLive().open(LiveRequest(diarize=False))
        found: list[LiveResult] = []

        async def listen() -> None:
            async for result in stream.results():
                found.append(result)

        listener = asyncio.create_task(listen())
        try:
            for at in range(0, len(pcm), 3200):
                await stream.send(pcm[at : at + 3200])
            await stream.finish()
            await asyncio.wait_for(listener, 200)
        finally:
            await stream.close()
        return found

    results = asyncio.run(asyncio.wait_for(work(), 250))
    words = [word for result in results if result.final for word in result.words]
    heard = {word.text.lower().strip(".,?!") for word in words}
    expected = {word.word.lower().strip(".,?!") for word in true}
    assert len(heard & expected) >= 0.6 * len(expected)
    assert words[0].start == pytest.approx(true[0].start, abs=0.3)
    assert results[-1].heard_until == pytest.approx(10.0, abs=0.1)


def test_it_says_that_it_cannot_tell_speakers_apart() -> None:
    with pytest.raises(UnsupportedFeature, match="local does not support diarization"):
        asyncio.run(LocalLive().open(LiveRequest(diarize=True)))


@pytest.mark.model
def test_a_stream_too_many_for_this_machine_is_refused_until_one_ends(settings: Any, tmp_path: Path) -> None:
    settings.OMI_LOCAL_STREAMS, settings.OMI_DATA_DIR = 1, tmp_path
    vendor = LocalLive()
    request = LiveRequest(diarize=False)

    async def work() -> None:
        first = await vendor.open(request)
        with pytest.raises(ProviderError, match="1 streams are transcribed on this machine already") as error:
            await vendor.open(request)
        assert (error.value.kind, error.value.code) == (ErrorKind.TRANSIENT, NO_ROOM)
        await first.close()
        await (await vendor.open(request)).close()

    asyncio.run(asyncio.wait_for(work(), 120))


@pytest.mark.model
def test_the_streams_of_a_process_share_one_child_that_ends_with_the_last(settings: Any, tmp_path: Path) -> None:
    settings.OMI_DATA_DIR = tmp_path
    vendor = LocalLive()

    async def work() -> None:
        first, second = [await vendor.open(LiveRequest(diarize=False)) for _ in range(2)]
        assert first._process is second._process
        await first.close()
        assert second._process.running
        await second.close()
        assert not second._process.running

    asyncio.run(asyncio.wait_for(work(), 120))


def test_a_folder_that_is_no_model_is_said_when_a_stream_is_opened(tmp_path: Path) -> None:
    vendor = LocalLive(folder=tmp_path)
    with pytest.raises(ProviderError, match="is no speech model"):
        asyncio.run(vendor.open(LiveRequest(diarize=False)))


def test_a_damaged_model_is_one_sentence_from_the_stream_and_from_doctor(tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).write_bytes(b"{}")
    vendor = LocalLive(folder=tmp_path)
    for ask in (vendor.about, lambda: asyncio.run(vendor.open(LiveRequest(diarize=False)))):
        with pytest.raises(ProviderError, match="damaged or of another format") as error:
            ask()
        assert error.value.kind is ErrorKind.PERMANENT


@pytest.mark.process
def test_a_child_that_is_killed_costs_no_word_and_no_audio(settings: Any, tmp_path: Path) -> None:
    """In mid-session, after its first words: the next child hears again what was not decided."""
    settings.OMI_DATA_DIR = tmp_path
    [recording] = Library([]).load(DEMO)
    pcm = recording.at(16000)[: 16000 * 10].tobytes()
    vendor = LocalLive()

    async def work() -> Run:
        it = Run(vendor, tuning=Tuning(connect=60.0, backoff=0.05, max_backoff=0.2))  # type: ignore[arg-type]
        it.session.start()
        await it.feed(pcm[: 5 * 32_000])
        async with asyncio.timeout(100):
            while not it.shown:
                await asyncio.sleep(0.05)
        [process] = vendor._processes.values()
        assert process._process is not None
        os.kill(process._process.pid, signal.SIGKILL)
        await it.feed(pcm[5 * 32_000 :])
        await it.session.finish("disconnect", wait=150.0)
        return it

    it = asyncio.run(asyncio.wait_for(work(), 290))
    said = normalise(" ".join(word.word for word in recording.words if word.end < 10.0))
    rate = word_error_rate(said, normalise(" ".join(it.shown)))
    assert rate is not None
    assert rate <= 0.1
    assert it.sink.finished[0].accounting is not None
    assert it.sink.finished[0].accounting.failed == 0
    assert it.session._supervisor.sessions[0].connections == 2


def test_a_session_whose_model_is_damaged_is_told_why_and_its_audio_has_failed_not_gone(
    settings: Any, tmp_path: Path
) -> None:
    settings.OMI_DATA_DIR = tmp_path
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).write_bytes(b"{}")
    it = Run(LocalLive(folder=tmp_path), tuning=Tuning(connect=60.0))  # type: ignore[arg-type]

    async def work() -> None:
        it.session.start()
        await it.feed(bytes(2 * 32_000))
        async with asyncio.timeout(100):
            while not it.statuses:
                await asyncio.sleep(0.05)
        await it.session.finish("disconnect")

    asyncio.run(asyncio.wait_for(work(), 150))
    assert it.states() == ["stt_failed"]
    assert "damaged or of another format" in it.statuses[0]["reason"]
    assert it.statuses[0]["retryable"] is False
    accounting = it.sink.finished[0].accounting
    assert accounting is not None
    assert accounting.failed == pytest.approx(2.0, abs=0.1)
