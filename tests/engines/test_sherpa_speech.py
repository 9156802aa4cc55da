"""sherpa-onnx's real recogniser, through our adapter, with a CTC model that the tests make.

The other three kinds of folder need weights; what is held of them is that the arguments we give exist.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

from omi.core.errors import ErrorKind, Outcome, ProviderError
from tests.support.speech_model import write_speech_model
from transcription.engines.base import RecognitionEvent
from transcription.engines.batch import transcribe_in_child
from transcription.engines.process import EngineProcess
from transcription.engines.sherpa import Kind, SherpaBatch, _Recognizer, kind_of
from transcription.segments import Word

from .conftest import Conversation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speech_model(tmp_path_factory.mktemp("models") / "ctc")


def sane(words: list[Word], seconds: float) -> None:
    assert {word.text for word in words} == {"low", "high"}
    assert all(0 <= word.start < word.end <= seconds for word in words)
    assert [word.start for word in words] == sorted(word.start for word in words)


def test_a_recording_gives_words_in_its_own_time(folder: Path, conversation: Conversation) -> None:
    assert kind_of(folder) is Kind.CTC
    pcm = np.concatenate([np.zeros(32_000, np.int16), conversation.cut(0, 8)])
    words = SherpaBatch(folder).transcribe(pcm)
    sane(words, 10.0)
    assert words[0].start > 1.5, "nothing is heard in the silence before"
    assert SherpaBatch(folder).transcribe(np.zeros(32_000, np.int16)) == []


def test_the_batch_child_gives_the_same(folder: Path, conversation: Conversation) -> None:
    pcm = conversation.cut(0, 6)
    assert transcribe_in_child(pcm, "sherpa-onnx", folder, timeout=60) == SherpaBatch(folder).transcribe(pcm)


def test_the_live_child_gives_finals(folder: Path, conversation: Conversation) -> None:
    async def run() -> list[RecognitionEvent]:
        engine = EngineProcess("sherpa-onnx", folder)
        await engine.start()
        try:
            assert engine.model == "sherpa_onnx_streaming"
            stream = engine.open()
            await stream.send(conversation.cut(0, 8).tobytes())
            await stream.finalize()
            return [heard async for heard in stream]
        finally:
            await engine.close()

    heard = asyncio.run(asyncio.wait_for(run(), 60))
    assert all(item.final for item in heard), "a model that does not stream gives no partials"
    sane([word for item in heard for word in item.words], 8.1)


def test_a_model_that_ends_the_process_is_a_permanent_error_live_and_batch(tmp_path: Path) -> None:
    """sherpa-onnx ends the process where metadata is missing: that was transient, and tried for ever."""
    broken = write_speech_model(tmp_path / "broken", metadata={})

    async def run() -> None:
        await EngineProcess("sherpa-onnx", broken).start()

    with pytest.raises(ProviderError, match="metadata") as live:
        asyncio.run(asyncio.wait_for(run(), 60))
    with pytest.raises(ProviderError, match="metadata") as batch:
        transcribe_in_child(np.zeros(16_000, np.int16), "sherpa-onnx", broken, timeout=60)
    for error in (live.value, batch.value):
        assert error.kind is ErrorKind.PERMANENT
        assert error.outcome is Outcome.CONFIG_ERROR


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_a_file_that_is_no_model_is_a_configuration_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    (tmp_path / "tokens.txt").write_text("a 0\n")
    with pytest.raises(ProviderError, match="cannot be loaded") as error:
        SherpaBatch(tmp_path)
    assert str(tmp_path) not in str(error.value)
    assert error.value.outcome is Outcome.CONFIG_ERROR


def test_a_missing_package_is_a_configuration_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sherpa_onnx", None)
    with pytest.raises(ProviderError, match="pip install sherpa-onnx==") as error:
        SherpaBatch(folder)
    assert error.value.outcome is Outcome.CONFIG_ERROR


@pytest.mark.parametrize(
    ("kind", "maker"),
    [
        (Kind.STREAMING, "OnlineRecognizer.from_transducer"),
        (Kind.TRANSDUCER, "OfflineRecognizer.from_transducer"),
        (Kind.WHISPER, "OfflineRecognizer.from_whisper"),
    ],
)
def test_what_the_other_kinds_are_made_with_is_what_the_package_takes(
    kind: Kind, maker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sherpa_onnx

    given: dict[str, object] = {}
    owner, method = getattr(sherpa_onnx, maker.split(".")[0]), maker.split(".")[1]
    signature = inspect.signature(getattr(owner, method))
    monkeypatch.setattr(owner, method, lambda **arguments: given.update(signature.bind(**arguments).arguments))
    names = ("encoder", "decoder") if kind is Kind.WHISPER else ("encoder", "decoder", "joiner")
    _Recognizer._load(sherpa_onnx, kind, {name: name for name in names}, "tokens", tmp_path, 1)
    assert given["tokens"] == "tokens"
    if kind is Kind.WHISPER:
        assert given["language"] == "", "the package's default is English, whatever is spoken"
