"""Whisper through CTranslate2 (package `faster-whisper`, an optional extra: 430 MB), from a folder on this machine.

The folder is a converted model: `model.bin`, `config.json` and the tokenizer. Nothing is ever downloaded here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transcription.engines.base import configuration_error, require_files
from transcription.engines.live import LiveByUtterances
from transcription.segments import Word
from transcription.vad import checked_pcm

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from transcription.engines.utterances import Utterance

ENGINE = "faster-whisper"


def missing_files(folder: Path) -> list[str]:
    missing = [name for name in ("model.bin", "config.json") if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocabulary.json", "vocabulary.txt")):
        missing.append("tokenizer.json or vocabulary.json or vocabulary.txt")
    return missing


class FasterWhisperBatch:
    """See `BatchEngine`. `language` None lets Whisper decide from the first 30 s."""

    model = "faster_whisper"

    def __init__(self, folder: Path, *, language: str | None = None) -> None:
        require_files(ENGINE, folder, missing_files(folder))
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise configuration_error(ENGINE, "the package is missing: pip install faster-whisper==1.2.1") from error
        try:
            self._whisper: Any = WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)
        except (RuntimeError, ValueError, OSError) as error:
            raise configuration_error(ENGINE, f"the model in {folder.name!r} cannot be loaded: {error}") from error
        self._language = language

    def transcribe(self, pcm: NDArray[np.int16]) -> list[Word]:
        audio = checked_pcm(pcm).astype(np.float32) / 32768
        if not len(audio):
            return []
        segments, info = self._whisper.transcribe(
            audio,
            language=self._language,
            word_timestamps=True,
            vad_filter=True,  # without it Whisper invents text in silence
            condition_on_previous_text=False,  # and repeats itself
        )
        return [
            Word(
                text=word.word.strip(),
                start=float(word.start),
                end=max(float(word.end), float(word.start) + 0.01),
                confidence=float(word.probability),
                language=info.language,
            )
            for segment in segments
            for word in segment.words or ()
            if word.word.strip()
        ]


class _FinalsOnly:
    def __init__(self, batch: FasterWhisperBatch) -> None:
        self._batch = batch

    def final(self, utterance: Utterance) -> list[Word]:
        moved = utterance.start
        return [
            word.model_copy(update={"start": word.start + moved, "end": word.end + moved})
            for word in self._batch.transcribe(utterance.pcm())
        ]

    def partial(self, utterance: Utterance) -> None:
        return None  # Whisper hears whole utterances


class FasterWhisperLive(LiveByUtterances):
    """See `LiveEngine`; finals only, one for each utterance of up to 20 s."""

    def __init__(self, folder: Path, *, offset: float = 0.0, language: str | None = None) -> None:
        decoder = _FinalsOnly(FasterWhisperBatch(folder, language=language))
        super().__init__("faster_whisper_streaming", decoder, offset=offset, longest=20.0)
