"""The child's streams: one model for all, served in turn, one's failure its own; and the parent's end of the pipe."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import pytest

from omi.core.errors import ErrorKind, ProviderError, UnsupportedFeature
from transcription.engines.base import RecognitionEvent
from transcription.engines.process import IN_FLIGHT, EngineProcess, error_of
from transcription.engines.worker import AUDIO, BEHIND, DROP, END, OPEN, Streams
from transcription.segments import Word


class Stream:
    def __init__(self, name: str, log: list[Any]) -> None:
        self.name = name
        self.log = log

    def feed(self, pcm: bytes, *, partials: bool = True) -> list[RecognitionEvent]:
        self.log.append((self.name, len(pcm), partials))
        if pcm.startswith(b"bad"):
            raise ValueError("broken")
        return [RecognitionEvent([Word(text=self.name, start=0.0, end=1.0)], True, 1.0)]

    def finish(self) -> list[RecognitionEvent]:
        return [RecognitionEvent([], True, 2.0)]


class Model:
    model = "fake_streaming"

    def __init__(self) -> None:
        self.log: list[Any] = []

    def stream(self, *, language: str | None = None, vocabulary: str = "", offset: float = 0.0) -> Stream:
        if language == "xx":
            raise UnsupportedFeature("whisper", "language 'xx'")
        return Stream(vocabulary, self.log)


class Child:
    def __init__(self) -> None:
        self.model = Model()
        self.said: list[dict[str, Any]] = []
        self.streams = Streams(self.model, self.said.append)

    def open(self, number: int, name: str, language: str | None = "en") -> None:
        options = {"language": language, "vocabulary": name, "offset": 0.0}
        self.streams.take(number, OPEN, json.dumps(options).encode())

    def serve(self) -> list[dict[str, Any]]:
        while self.streams.serve():
            pass
        said, self.said[:] = list(self.said), []
        return said


@pytest.fixture
def child() -> Child:
    it = Child()
    it.open(1, "ana")
    it.open(2, "ben")
    return it


def test_streams_are_served_in_turn_and_answered_apart(child: Child) -> None:
    for number in (1, 2, 1):
        child.streams.take(number, AUDIO, b"ab" * 10)
    said = child.serve()
    assert child.model.log == [("ana", 40, True), ("ben", 20, True)]  # what waited is fed at once, the oldest first
    assert [(item["stream"], item["type"]) for item in said] == [(1, "final"), (1, "took"), (2, "final"), (2, "took")]
    assert [item["bytes"] for item in said if item["type"] == "took"] == [40, 20]
    assert said[2]["words"][0]["text"] == "ben"


def test_a_stream_that_is_behind_gets_no_partials(child: Child) -> None:
    child.streams.take(1, AUDIO, bytes(BEHIND + 2))
    child.streams.take(2, AUDIO, bytes(BEHIND))
    child.serve()
    assert [partials for *_, partials in child.model.log] == [False, True]


def test_a_stream_ends_after_its_last_audio(child: Child) -> None:
    child.streams.take(1, END, b"")
    child.streams.take(1, AUDIO, b"ab")
    assert [item["type"] for item in child.serve()] == ["final", "took", "final", "done"]
    child.streams.take(1, AUDIO, b"ab")
    assert child.serve() == []


def test_what_goes_wrong_with_one_stream_is_said_to_it_alone(child: Child) -> None:
    child.streams.take(1, AUDIO, b"bad!")
    child.streams.take(2, AUDIO, b"good")
    said = child.serve()
    assert [(item["stream"], item["type"]) for item in said] == [(1, "error"), (2, "final"), (2, "took")]
    assert said[0]["message"] == "ValueError: broken"


def test_a_language_that_the_model_does_not_know_is_said_to_the_stream(child: Child) -> None:
    child.open(3, "cem", language="xx")
    [said] = child.serve()
    assert said["stream"] == 3
    error = error_of("whisper", said)
    assert isinstance(error, UnsupportedFeature)
    assert error.message == "whisper does not support language 'xx'"


def test_a_dropped_stream_is_forgotten(child: Child) -> None:
    child.streams.take(1, AUDIO, b"ab")
    child.streams.take(1, DROP, b"")
    assert child.serve() == []


@pytest.mark.process
def test_one_child_serves_two_streams_and_its_end_is_both_ones_end() -> None:
    async def run() -> list[ProviderError]:
        process = EngineProcess()
        await process.start()
        try:
            streams = [process.open(language="en"), process.open(language="en")]
            for stream in streams:
                await stream.send(bytes(32_000))
            assert process._process is not None
            os.kill(process._process.pid, signal.SIGKILL)
            found = await asyncio.gather(*(_drained(stream) for stream in streams), return_exceptions=True)
            return [error for error in found if isinstance(error, ProviderError)]
        finally:
            await process.close()

    errors = asyncio.run(asyncio.wait_for(run(), 120))
    assert [error.kind for error in errors] == [ErrorKind.TRANSIENT] * 2


@pytest.mark.process
def test_a_stream_that_comes_fast_waits_for_the_engine_and_not_in_the_pipe() -> None:
    async def run() -> list[int]:
        process = EngineProcess()
        await process.start()
        try:
            stream = process.open(language="en")
            ahead = []
            for _ in range(40):
                await stream.send(bytes(64_000))
                ahead.append(stream._ahead)
            return ahead
        finally:
            await process.close()

    ahead = asyncio.run(asyncio.wait_for(run(), 120))
    assert max(ahead) < IN_FLIGHT + (1 << 16)


async def _drained(stream: Any) -> None:
    async for _ in stream:
        pass
