"""sherpa-onnx's real extractor, through our adapter, with a model file that the tests make."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from omi.core.errors import ErrorKind, Outcome, ProviderError
from speakers.engines.client import WorkerClient
from speakers.engines.sherpa import SherpaVoiceEngine, model_version
from tests.support.speaker_model import METADATA, write_speaker_model

from .conftest import Conversation


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speaker_model(tmp_path_factory.mktemp("models") / "voice.onnx")


@pytest.fixture(scope="module")
def engine(model: Path) -> SherpaVoiceEngine:
    return SherpaVoiceEngine(model)


def test_dimension_and_version_are_those_of_the_file(engine: SherpaVoiceEngine, model: Path, tmp_path: Path) -> None:
    assert engine.dimension == 64
    assert engine.version == model_version(model)
    assert engine.version.startswith("voice@")
    other = SherpaVoiceEngine(write_speaker_model(tmp_path / "voice.onnx", seed=1))
    assert other.version != engine.version, "two files are two engines, whatever they are called"


def test_rows_are_unit_vectors_and_independent_of_their_batch(
    engine: SherpaVoiceEngine, conversation: Conversation
) -> None:
    cuts = [(turn["start"], turn["end"]) for turn in conversation.turns]
    together = engine.embed_segments(conversation.pcm, cuts)
    assert together.shape == (len(cuts), 64)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    alone = np.concatenate([engine.embed_segments(conversation.pcm, [cut]) for cut in cuts])
    np.testing.assert_array_equal(alone, together)
    cosines = together @ together.T
    speakers = np.array([turn["speaker"] for turn in conversation.turns])
    same = (speakers[:, None] == speakers[None]) & ~np.eye(len(cuts), dtype=bool)
    assert cosines[same].mean() > cosines[speakers[:, None] != speakers[None]].mean(), "it does hear something"


@pytest.mark.parametrize("segment", [(0.0, 0.0), (5.0, 4.0), (900.0, 901.0), (1.0, 1.05), (-2.0, -1.0)])
def test_nothing_to_embed_is_a_row_of_zeros(
    segment: tuple[float, float], engine: SherpaVoiceEngine, conversation: Conversation
) -> None:
    assert not engine.embed_segments(conversation.pcm, [segment]).any()


def test_silence_gives_zeros_and_short_pieces_finite_unit_rows(
    engine: SherpaVoiceEngine, conversation: Conversation
) -> None:
    assert not engine.embed_segments(np.zeros(48_000, np.int16), [(0.0, 3.0)]).any()
    short = engine.embed_segments(conversation.pcm, [(3.0, 3.0 + seconds) for seconds in (0.1, 0.15, 0.3, 0.8)])
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1.0, atol=1e-5)
    assert engine.embed_segments(conversation.pcm, []).shape == (0, 64)
    with pytest.raises(TypeError, match="int16"):
        engine.embed_segments(np.zeros(10, np.float32), [(0.0, 1.0)])


@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_a_file_that_is_no_model_is_a_configuration_error_without_its_path(
    content: bytes | None, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(model.read_bytes()[:3000] if content is None else content)
    with pytest.raises(ProviderError, match=r"'broken\.onnx' cannot be loaded") as error:
        SherpaVoiceEngine(path)
    assert error.value.kind is ErrorKind.PERMANENT
    assert error.value.outcome is Outcome.CONFIG_ERROR
    assert str(tmp_path) not in str(error.value)


def test_a_model_that_gives_another_dimension_than_it_says_is_refused(tmp_path: Path) -> None:
    path = write_speaker_model(tmp_path / "lies.onnx", metadata={**METADATA, "output_dim": "192"})
    with pytest.raises(ProviderError, match="192 numbers, and gives 64"):
        SherpaVoiceEngine(path)


def test_a_missing_package_is_a_configuration_error(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sherpa_onnx", None)
    with pytest.raises(ProviderError, match="pip install sherpa-onnx==") as error:
        SherpaVoiceEngine(model)
    assert error.value.outcome is Outcome.CONFIG_ERROR


@pytest.fixture
def client(model: Path) -> Iterator[WorkerClient]:
    made = WorkerClient(str(model))
    yield made
    made.close()


def test_the_child_runs_it(client: WorkerClient, engine: SherpaVoiceEngine, conversation: Conversation) -> None:
    cuts = [(0.0, 1.6), (5.0, 9.0), (2.0, 2.0)]
    hello = client.describe()
    assert (hello["name"], hello["version"], hello["dimension"]) == ("sherpa-onnx", engine.version, 64)
    np.testing.assert_allclose(
        client.embed(conversation.pcm, cuts), engine.embed_segments(conversation.pcm, cuts), atol=1e-6
    )
    assert client.speech(conversation.pcm[: 5 * 16_000])


@pytest.mark.parametrize(
    "metadata",
    [{}, {**METADATA, "framework": "other"}, {key: value for key, value in METADATA.items() if key != "output_dim"}],
)
def test_a_model_that_ends_the_process_is_a_permanent_error_that_names_it(
    metadata: dict[str, str], tmp_path: Path
) -> None:
    """sherpa-onnx 2.0.1 exits, or is killed by a segmentation fault, where a model lacks its metadata."""
    client = WorkerClient(str(write_speaker_model(tmp_path / "asr.onnx", metadata=metadata)))
    with pytest.raises(ProviderError, match=r"ended while it started with 'asr\.onnx'") as error:
        client.describe()
    assert error.value.kind is ErrorKind.PERMANENT
    assert error.value.outcome is Outcome.CONFIG_ERROR


def test_a_child_that_is_killed_while_it_starts_is_a_transient_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speakers.engines.client.START_TIMEOUT", 0.0)
    with pytest.raises(ProviderError, match="did not start") as error:
        WorkerClient().describe()
    assert error.value.kind is ErrorKind.TRANSIENT


def test_a_recording_longer_than_a_message_is_refused_before_it_is_sent(
    client: WorkerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speakers.engines.client.LARGEST", 32_000)
    with pytest.raises(ProviderError, match="too long") as error:
        client.embed(np.zeros(16_001, np.int16), [(0.0, 1.0)])
    assert error.value.outcome is Outcome.INVALID_INPUT


def test_the_longest_recording_that_is_taken_fits_into_a_message() -> None:
    from django.conf import settings

    from speakers.engines.worker import LARGEST

    assert settings.OMI_MAX_RECORDING_SECONDS * 32_000 <= LARGEST


def test_a_voice_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"'voice\.onnx' does not exist") as error:
        SherpaVoiceEngine(tmp_path / "voice.onnx")
    assert error.value.kind is ErrorKind.PERMANENT


def test_the_version_that_is_named_is_the_one_that_is_tested() -> None:
    root = Path(__file__).resolve().parents[2]
    tested = (root / "requirements-dev.txt").read_text().splitlines()
    texts = [(root / "docs" / name).read_text() for name in ("settings.md", "speakers.md")]
    texts += [path.read_text() for room in ("speakers", "transcription") for path in (root / room).rglob("*.py")]
    named = {pin for text in texts for pin in re.findall(r"\bsherpa-onnx==[\d.]*\d", text)}
    assert named
    assert named - set(tested) == set()
