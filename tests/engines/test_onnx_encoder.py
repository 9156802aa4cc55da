"""The bundled weights in ONNX Runtime: the same engine, run by something else."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from omi.core.errors import ErrorKind, MissingDependency, Outcome
from speakers.engines import encoder_onnx
from speakers.engines.client import WorkerClient
from speakers.engines.encoder_numpy import NumpyEncoder
from speakers.engines.encoder_onnx import FIX, GRAPH_FILE, OnnxEncoder, graph_bytes
from speakers.engines.registry import ConfiguredVoices
from speakers.engines.resemblyzer import ResemblyzerEngine

from .conftest import Conversation

TOLERANCE = 1e-5
"""Of one number of an embedding: a thousandth of what changes a cosine in its second decimal."""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def onnx_engine(folder: Path) -> ResemblyzerEngine:
    return ResemblyzerEngine(OnnxEncoder(folder))


def test_the_embeddings_of_every_turn_agree_with_numpys(
    onnx_engine: ResemblyzerEngine, voice_engine: ResemblyzerEngine, conversation: Conversation
) -> None:
    """Whole windows, pieces shorter than one, silence: the same name and version may be used for both."""
    cuts = [(turn["start"], turn["end"]) for turn in conversation.turns] + [(3.0, 3.5), (3.0, 3.15), (0.0, 0.0)]
    ours, theirs = (engine.embed_segments(conversation.pcm, cuts) for engine in (voice_engine, onnx_engine))
    assert np.abs(ours - theirs).max() < TOLERANCE
    assert (ours[:-1] ** 2).sum() > len(cuts) - 1.01
    assert not theirs[-1].any()
    assert (onnx_engine.name, onnx_engine.version) == (voice_engine.name, voice_engine.version)


@pytest.mark.parametrize("frames", [1, 10, 160, 400])
def test_any_length_and_batch_agree(onnx_engine: ResemblyzerEngine, frames: int) -> None:
    mels = np.random.default_rng(frames).gamma(0.5, 0.01, size=(3, frames, 40)).astype(np.float32)
    assert np.abs(NumpyEncoder()(mels) - onnx_engine._encoder(mels)).max() < TOLERANCE


def test_the_graph_is_a_valid_model_of_standard_operators() -> None:
    import onnx

    model = onnx.load_from_string(graph_bytes())
    onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for node in model.graph.node} == {"Transpose", "LSTM", "Squeeze", "Gemm", "Relu"}


def test_the_graph_is_made_once_and_a_broken_file_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    OnnxEncoder(tmp_path / "models")
    path = tmp_path / "models" / GRAPH_FILE
    made = path.read_bytes()
    assert [item.name for item in path.parent.iterdir()] == [GRAPH_FILE], "nothing half-written is left"
    with monkeypatch.context() as patched:
        patched.setattr(encoder_onnx, "graph_bytes", lambda: pytest.fail("it was there"))
        OnnxEncoder(tmp_path / "models")
    path.write_bytes(made[: len(made) // 2])
    OnnxEncoder(tmp_path / "models")
    assert path.read_bytes() == made


@pytest.mark.parametrize("package", ["onnxruntime", "onnx"])
def test_a_missing_package_is_a_configuration_error_that_names_it(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=f"package {package}") as error:
        OnnxEncoder(tmp_path)
    assert error.value.outcome is Outcome.CONFIG_ERROR
    assert "pip install onnxruntime==" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_with_the_graph_there_onnx_is_not_needed(folder: Path, onnx_engine: object) -> None:
    code = f"""
import sys
from pathlib import Path
sys.modules["onnx"] = None
from speakers.engines.encoder_onnx import OnnxEncoder
OnnxEncoder(Path({str(folder)!r}))
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_the_versions_that_are_named_are_those_that_are_tested() -> None:
    tested = (ROOT / "requirements-dev.txt").read_text().splitlines()
    texts = [FIX, (ROOT / "docs/settings.md").read_text(), (ROOT / "docs/speakers.md").read_text()]
    texts += [path.read_text() for room in ("speakers", "transcription") for path in (ROOT / room).rglob("*.py")]
    named = {pin for text in texts for pin in re.findall(r"\b(?:onnxruntime|onnx|sherpa-onnx)==[\d.]*\d", text)}
    assert {pin.split("==")[0] for pin in named} == {"onnxruntime", "onnx", "sherpa-onnx"}
    assert named - set(tested) == set()


@pytest.fixture
def client(folder: Path) -> Iterator[WorkerClient]:
    made = WorkerClient(onnx=str(folder))
    yield made
    made.close()


def test_the_child_runs_it(client: WorkerClient, conversation: Conversation, voice_engine: ResemblyzerEngine) -> None:
    cuts = [(0.0, 1.6), (5.0, 9.0)]
    assert np.abs(client.embed(conversation.pcm, cuts) - voice_engine.embed_segments(conversation.pcm, cuts)).max() < (
        TOLERANCE
    )
    assert client._process is not None
    maps = Path(f"/proc/{client._process.pid}/maps").read_text()
    assert "onnxruntime" in maps, "and not NumPy under another name"


def test_the_setting_asks_for_it(settings, folder: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    settings.OMI_VOICE_ENGINE, settings.OMI_VOICE_RUNTIME, settings.OMI_DATA_DIR = "resemblyzer", "onnx", tmp_path
    voices = ConfiguredVoices()
    try:
        assert (voices.name, voices.version, voices.dimension) == ("resemblyzer", "0.1.4", 256)
    finally:
        voices.close()
    assert (tmp_path / "models" / GRAPH_FILE).is_file()


def test_a_folder_that_cannot_be_written_is_told_and_permanent(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where a folder should be")
    broken = WorkerClient(onnx=str(tmp_path / "models"))
    with pytest.raises(MissingDependency, match="models") as error:
        broken.describe()
    assert error.value.kind is ErrorKind.PERMANENT
