"""Which engine a model folder is for (`OMI_SPEECH_MODEL`), and the engine itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transcription.engines import sherpa
from transcription.engines.base import MEMORY_MB, BatchEngine, LiveModel, configuration_error
from transcription.engines.whisper import files
from transcription.engines.whisper.batch import WhisperBatch
from transcription.engines.whisper.live import WhisperLive
from transcription.engines.whisper.model import Whisper

if TYPE_CHECKING:
    from pathlib import Path

ENGINES = ("whisper", "sherpa-onnx")


def detect(folder: Path | None) -> str:
    """The engine for a model folder; Whisper, whose base model is bundled, without one.

    ProviderError (permanent) naming what was looked for when the folder is not there or is no model.
    """
    if folder is None:
        return "whisper"
    if not folder.is_dir():
        raise configuration_error("local", f"the speech model folder {folder.name!r} does not exist")
    if (folder / "model.bin").exists():
        return "whisper"
    if sherpa.kind_of(folder) is not None:
        return "sherpa-onnx"
    raise configuration_error(
        "local",
        f"the folder {folder.name!r} is no speech model: looked for model.bin with config.json (Whisper for "
        "CTranslate2) and for *encoder*.onnx, *decoder*.onnx, *joiner*.onnx or *model*.onnx with *tokens*.txt "
        "(sherpa-onnx)",
    )


def check(folder: Path | None) -> None:
    """Make sure that a model can be used, as far as that can be said without loading it; raises ProviderError
    (permanent), one sentence."""
    if detect(folder) == "whisper":
        place = folder or files.bundled_model()
        files.checked_folder(place)
        files.memory_needed(place, MEMORY_MB)


def _folder(engine: str, folder: Path | None) -> Path:
    if folder is None:
        raise configuration_error(engine, "needs a model folder (OMI_SPEECH_MODEL)")
    if not folder.is_dir():
        raise configuration_error(engine, f"the model folder {folder.name!r} does not exist")
    return folder


def batch_engine(
    engine: str,
    folder: Path | None = None,
    *,
    language: str | None = None,
    vocabulary: str = "",
    memory_mb: int | None = None,
) -> BatchEngine:
    """A loaded engine for whole recordings. ProviderError (permanent) when a package or a file is missing."""
    if engine == "whisper":
        whisper = Whisper(folder or files.bundled_model(), memory_mb=memory_mb)
        return WhisperBatch(whisper, language=language, vocabulary=vocabulary)
    if engine == "sherpa-onnx":
        return sherpa.SherpaBatch(_folder(engine, folder))
    raise _unknown(engine)


def live_model(engine: str, folder: Path | None = None, *, memory_mb: int | None = None) -> LiveModel:
    """A loaded engine for any number of streams. Errors as `batch_engine`."""
    if engine == "whisper":
        return WhisperLive(Whisper(folder or files.bundled_model(), memory_mb=memory_mb))
    if engine == "sherpa-onnx":
        return sherpa.SherpaLive(_folder(engine, folder))
    raise _unknown(engine)


def _unknown(engine: str) -> Exception:
    return configuration_error("local", f"no engine {engine!r}: there are {', '.join(ENGINES)}")
