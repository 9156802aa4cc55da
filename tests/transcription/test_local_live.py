"""The local engine behind the live port: a child process hears the bundled conversation."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from omi.errors import UnsupportedFeature
from tests.vendors.truth import Library
from transcription.live.base import LiveRequest, LiveResult
from transcription.live.local import LocalLive

DEMO = Path(__file__).resolve().parents[2] / "demo" / "recordings" / "conversation.json"


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
            await asyncio.wait_for(listener, 60)
        finally:
            await stream.close()
        return found

    results = asyncio.run(asyncio.wait_for(work(), 90))
    words = [word for result in results if result.final for word in result.words]
    heard = {word.text.lower().strip(".,?!") for word in words}
    expected = {word.word.lower().strip(".,?!") for word in true}
    assert len(heard & expected) >= 0.6 * len(expected)
    assert words[0].start == pytest.approx(true[0].start, abs=0.3)
    assert results[-1].heard_until == pytest.approx(10.0, abs=0.1)


def test_it_says_that_it_cannot_tell_speakers_apart() -> None:
    with pytest.raises(UnsupportedFeature, match="local does not support diarization"):
        asyncio.run(LocalLive().open(LiveRequest(diarize=True)))
