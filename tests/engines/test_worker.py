from __future__ import annotations

import asyncio
import os
import signal
import subprocess

import numpy as np
import pytest

from omi.core import child_process
from omi.core.errors import ErrorKind, Outcome, ProviderError
from tests.engines.conftest import error_rate, plain
from tests.support import sound
from transcription.engines.batch import transcribe_in_child
from transcription.engines.process import EngineProcess, worker_command

pytestmark = pytest.mark.process


def pid_of(engine):
    assert engine._process is not None
    return engine._process.pid


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_live_engine_in_a_child_answers_over_the_pipes_and_ends(conversation):
    end = conversation.turns[0]["end"] + 0.6

    async def run():
        engine = EngineProcess()
        await engine.start()
        pid = pid_of(engine)
        stream = engine.open(language="en", offset=50.0)
        await stream.send(conversation.cut(0, end).tobytes())
        await stream.finalize()
        events = [event async for event in stream]
        stream.close()
        stream.close()
        await engine.close()
        await engine.close()
        return engine.model, events, pid

    model, events, pid = asyncio.run(asyncio.wait_for(run(), 200))
    words = [word for event in events if event.final for word in event.words]
    assert model == "whisper_streaming"
    assert error_rate(conversation.text(0, end), plain(words)) < 0.2
    assert words[0].start > 50.0
    assert gone(pid)


def test_a_child_that_is_killed_is_a_transient_error():
    async def run():
        engine = EngineProcess()
        await engine.start()
        stream = engine.open()
        os.kill(pid_of(engine), signal.SIGKILL)
        try:
            async for _ in stream:
                pass
        finally:
            await engine.close()

    with pytest.raises(ProviderError, match="ended unexpectedly") as error:
        asyncio.run(asyncio.wait_for(run(), 200))
    assert error.value.kind is ErrorKind.TRANSIENT


def test_sending_to_a_dead_child_is_an_error_not_a_hang():
    async def run():
        engine = EngineProcess()
        await engine.start()
        stream = engine.open()
        os.kill(pid_of(engine), signal.SIGKILL)
        try:
            for _ in range(50):
                await stream.send(bytes(64_000))
        finally:
            await engine.close()

    with pytest.raises(ProviderError) as error:
        asyncio.run(asyncio.wait_for(run(), 200))
    assert error.value.kind is ErrorKind.TRANSIENT


def test_an_engine_without_its_model_says_so_and_leaves_no_process(tmp_path):
    async def run():
        engine = EngineProcess("sherpa-onnx", tmp_path)
        try:
            await engine.start()
        finally:
            assert engine._process is None

    with pytest.raises(ProviderError, match="holds no sherpa-onnx model") as error:
        asyncio.run(asyncio.wait_for(run(), 200))
    assert error.value.kind is ErrorKind.PERMANENT


def test_the_child_ends_when_its_parent_lets_go():
    command = worker_command("whisper", None)
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=child_process.environment())
    assert child.stdin is not None
    assert child.stdout is not None
    assert b"ready" in child.stdout.readline()
    child.stdin.close()
    assert child.wait(10) == 0
    child.stdout.close()


def test_the_child_does_not_load_django():
    code = "import sys; from transcription.engines import worker, registry, process, batch, description"
    check = f"{code}; sys.exit(any(name.split('.')[0] == 'django' for name in sys.modules))"
    command = [worker_command("x", None)[0], "-c", check]
    assert subprocess.run(command, env=child_process.environment(), timeout=300).returncode == 0


def test_batch_in_a_child_reads_a_wav_as_it_reads_samples(conversation, tmp_path):
    pcm = conversation.cut(0, 2.0)
    path = tmp_path / "a.wav"
    sound.write_wav(path, pcm.tobytes())
    words = transcribe_in_child(path, timeout=300)
    assert words
    assert words == transcribe_in_child(pcm, timeout=300)


@pytest.mark.parametrize("content", [b"", b"not audio at all"])
def test_a_file_that_is_no_wav_is_a_permanent_error(content, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(ProviderError) as error:
        transcribe_in_child(path, timeout=300)
    assert error.value.kind is ErrorKind.PERMANENT


def test_a_batch_that_takes_too_long_is_stopped(conversation):
    with pytest.raises(ProviderError, match="no transcript") as error:
        transcribe_in_child(conversation.pcm, timeout=1.0)
    assert (error.value.kind, error.value.outcome) == (ErrorKind.TRANSIENT, Outcome.TIMEOUT)


def test_batch_of_nothing_is_no_words():
    assert transcribe_in_child(np.zeros(0, np.int16), timeout=300) == []


def test_a_batch_without_memory_is_an_error_and_not_an_empty_transcript(conversation):
    with pytest.raises(ProviderError):
        transcribe_in_child(conversation.cut(0, 2.0), timeout=60, memory_mb=300)
