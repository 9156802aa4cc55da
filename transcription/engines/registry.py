"""Which engine a model folder is for (`OMI_SPEECH_MODEL`), and the engine itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transcription.engines.base import BatchEngine, LiveEngine, configuration_error

if TYPE_CHECKING:
    from pathlib import Path

ENGINES = ("pocketsphinx", "sherpa-onnx", "faster-whisper")


def detect(folder: Path | None) -> str:
    """The engine for a model folder; pocketsphinx, which has its own model, without one.

    ProviderError (permanent) naming what was looked for when the folder is not there or is no model.
    """
    from transcription.engines import sherpa

    if folder is None:
        return "pocketsphinx"
    if not folder.is_dir():
        raise configuration_error("local", f"the speech model folder {folder.name!r} does not exist")
    if (folder / "model.bin").is_file():
        return "faster-whisper"
    if sherpa.kind_of(folder) is not None:
        return "sherpa-onnx"
    raise configuration_error(
        "local",
        f"the folder {folder.name!r} is no speech model: looked for model.bin with config.json (faster-whisper) "
        "and for *encoder*.onnx, *decoder*.onnx, *joiner*.onnx or *model*.onnx with *tokens*.txt (sherpa-onnx)",
    )


def _folder(engine: str, folder: Path | None) -> Path:
    if folder is None:
        raise configuration_error(engine, "needs a model folder (OMI_SPEECH_MODEL)")
    if not folder.is_dir():
        raise configuration_error(engine, f"the model folder {folder.name!r} does not exist")
    return folder


def batch_engine(engine: str, folder: Path | None = None) -> BatchEngine:
    """A loaded engine for whole recordings. ProviderError (permanent) when a package or a file is missing."""
    if engine == "pocketsphinx":
        from transcription.engines.pocketsphinx import PocketsphinxBatch

        return PocketsphinxBatch()
    if engine == "sherpa-onnx":
        from transcription.engines.sherpa import SherpaBatch

        return SherpaBatch(_folder(engine, folder))
    if engine == "faster-whisper":
        from transcription.engines.faster_whisper import FasterWhisperBatch

        return FasterWhisperBatch(_folder(engine, folder))
    raise _unknown(engine)


def live_engine(engine: str, folder: Path | None = None, *, offset: float = 0.0) -> LiveEngine:
    """A loaded engine for one stream; `offset` is added to its times. Errors as `batch_engine`."""
    if engine == "pocketsphinx":
        from transcription.engines.pocketsphinx import PocketsphinxLive

        return PocketsphinxLive(offset=offset)
    if engine == "sherpa-onnx":
        from transcription.engines.sherpa import SherpaLive

        return SherpaLive(_folder(engine, folder), offset=offset)
    if engine == "faster-whisper":
        from transcription.engines.faster_whisper import FasterWhisperLive

        return FasterWhisperLive(_folder(engine, folder), offset=offset)
    raise _unknown(engine)


def _unknown(engine: str) -> Exception:
    return configuration_error("local", f"no engine {engine!r}: there are {', '.join(ENGINES)}")
