from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from omi.core.errors import ErrorKind, ProviderError
from speakers.engines.resemblyzer import ResemblyzerEngine, mel_spectrogram
from speakers.engines.sherpa import SherpaVoiceEngine
from speakers.engines.weights import WeightsError, read_checkpoint, weights_path

REFERENCE = json.loads((Path(__file__).parent / "reference_embeddings.json").read_text())


@pytest.mark.parametrize("speaker", list(REFERENCE))
def test_embeddings_equal_those_of_librosa_and_onnx_runtime(speaker, conversation, voice_engine):
    """The stored values: librosa 0.11's mel spectrogram, the same weights in an ONNX graph of standard LSTM nodes."""
    expected = REFERENCE[speaker]
    window = conversation.cut(expected["start"], expected["start"] + 1.6).astype(np.float32)[None] / 32768
    assert float(mel_spectrogram(window).sum()) == pytest.approx(expected["mel_sum"], rel=1e-5)
    (embedding,) = voice_engine.embed_windows(window)
    assert float(embedding.sum()) == pytest.approx(expected["sum"], abs=1e-4)
    for index, value in expected["values"].items():
        assert embedding[int(index)] == pytest.approx(value, abs=2e-6)


def test_one_voice_is_nearer_to_itself_than_to_the_others(conversation, voice_engine):
    turns = conversation.turns
    embeddings = voice_engine.embed_segments(conversation.pcm, [(t["start"], t["end"]) for t in turns])
    cosines = embeddings @ embeddings.T
    same = [cosines[i, j] for i in range(len(turns)) for j in range(i) if turns[i]["speaker"] == turns[j]["speaker"]]
    other = [cosines[i, j] for i in range(len(turns)) for j in range(i) if turns[i]["speaker"] != turns[j]["speaker"]]
    assert min(same) > 0.78
    assert max(other) < 0.72


def test_rows_are_unit_vectors_and_independent_of_their_batch(conversation, voice_engine):
    segments = [(1.0, 1.8), (6.0, 9.9), (16.0, 18.0)]
    together = voice_engine.embed_segments(conversation.pcm, segments)
    assert together.shape == (3, 256)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    for row, segment in zip(together, segments, strict=True):
        np.testing.assert_allclose(voice_engine.embed_segments(conversation.pcm, [segment])[0], row, atol=1e-5)


@pytest.mark.parametrize("segment", [(0.0, 0.0), (5.0, 4.0), (900.0, 901.0), (1.0, 1.05), (-2.0, -1.0)])
def test_nothing_to_embed_is_a_row_of_zeros(segment, conversation, voice_engine):
    assert not voice_engine.embed_segments(conversation.pcm, [segment]).any()


@pytest.mark.parametrize("pcm", [np.zeros(0, np.int16), np.zeros(1, np.int16), np.zeros(48_000, np.int16)])
def test_silence_and_no_audio_give_zeros_and_never_nan(pcm, voice_engine):
    embeddings = voice_engine.embed_segments(pcm, [(0.0, 3.0)])
    assert not embeddings.any()


def test_full_scale_noise_gives_finite_numbers(voice_engine):
    noise = np.random.default_rng(0).integers(-32768, 32767, 32_000, dtype=np.int16)
    assert np.isfinite(voice_engine.embed_segments(noise, [(0.0, 2.0)])).all()


def test_no_segments_is_an_empty_matrix_and_floats_are_refused(voice_engine):
    assert voice_engine.embed_segments(np.zeros(10, np.int16), []).shape == (0, 256)
    with pytest.raises(TypeError, match="int16"):
        voice_engine.embed_segments(np.zeros(10, np.float32), [(0.0, 1.0)])


def test_the_weights_are_all_there():
    tensors = read_checkpoint(weights_path(), "model_state")
    assert tensors["lstm.weight_ih_l0"].shape == (1024, 40)
    assert sum(t.size for t in tensors.values()) == 1_423_618
    assert ResemblyzerEngine.version == "0.1.4"


class Evil:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        pickle.dumps(1),
        pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2) + pickle.dumps(Evil(), 2),
        weights_path().read_bytes()[:100_000] if weights_path().is_file() else b"",
    ],
)
def test_a_file_that_is_not_plain_weights_is_refused_and_runs_nothing(content, tmp_path, capsys):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError):
        read_checkpoint(path, "model_state")
    assert capsys.readouterr().out == ""


def test_a_storage_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    data = bytearray(weights_path().read_bytes())
    path = tmp_path / "weights.pt"
    at = data.index(struct.pack("<q", 1024 * 256))
    data[at : at + 8] = struct.pack("<q", 1 << 40)
    path.write_bytes(bytes(data))
    with pytest.raises(WeightsError):
        read_checkpoint(path, "model_state")


def test_a_voice_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ProviderError, match=r"'voice\.onnx' does not exist") as error:
        SherpaVoiceEngine(tmp_path / "voice.onnx")
    assert error.value.kind is ErrorKind.PERMANENT
