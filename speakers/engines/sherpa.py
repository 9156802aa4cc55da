"""WeSpeaker, 3D-Speaker or NeMo embeddings (one .onnx file, `OMI_VOICE_MODEL`) through sherpa-onnx's extractor."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from omi.core.errors import ErrorKind, Outcome, ProviderError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 16_000
SHORTEST = 0.1


class SherpaVoiceEngine:
    """See `VoiceEngine`. The version is the file's own hash: two files are two engines, whatever they are called."""

    name = "sherpa-onnx"

    def __init__(self, model: Path, *, threads: int = 1) -> None:
        if not model.is_file():
            raise _configuration(f"the voice model file {model.name!r} does not exist")
        try:
            import sherpa_onnx
        except ImportError as error:
            raise _configuration("the package is missing: pip install sherpa-onnx==2.0.1") from error
        # Where the file has no metadata of a speaker model the library ends the process (2.0.1): an engine is loaded in
        # a child only (speakers/engines/worker.py).
        config = sherpa_onnx.SpeakerEmbeddingExtractorConfig(model=str(model), num_threads=threads)
        if not config.validate():
            raise _configuration(f"{model.name!r} is not a voice model that sherpa-onnx reads")
        try:
            self._extractor: Any = sherpa_onnx.SpeakerEmbeddingExtractor(config)
        except RuntimeError as error:
            cause = str(error).replace(str(model), model.name).strip().partition("\n")[0]
            raise _configuration(f"{model.name!r} cannot be loaded: {cause[:200]}") from error
        self.version = model_version(model)
        self.dimension = int(self._extractor.dim)
        found = len(self._embedding(np.random.default_rng(0).uniform(-0.1, 0.1, RATE).astype(np.float32)))
        if found != self.dimension:
            raise _configuration(f"{model.name!r} says that it gives {self.dimension} numbers, and gives {found}")

    def embed_segments(self, pcm: NDArray[np.int16], segments: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
        """Embed each segment (start, end in seconds) as a row of unit length, of silence zeros: see ``VoiceEngine``."""
        if pcm.dtype != np.int16 or pcm.ndim != 1:
            raise TypeError(f"audio must be a one-dimensional int16 array, not {pcm.dtype} {pcm.shape}")
        embeddings = np.zeros((len(segments), self.dimension), np.float32)
        for index, (start, end) in enumerate(segments):
            cut = pcm[max(0, round(start * RATE)) : max(0, round(end * RATE))]
            audio = (cut / np.float32(32768)).astype(np.float32, copy=False)
            if len(audio) < SHORTEST * RATE or not audio.any():
                continue
            embeddings[index] = self._embedding(audio)
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        return (embeddings / np.where(norms > 0, norms, 1.0)).astype(np.float32)

    def _embedding(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        stream = self._extractor.create_stream()
        stream.accept_waveform(RATE, audio)
        stream.input_finished()
        if not self._extractor.is_ready(stream):
            return np.zeros(self.dimension, np.float32)
        return np.asarray(self._extractor.compute(stream), np.float32)


def model_version(model: Path) -> str:
    """File name and hash of its content: known without loading it."""
    with model.open("rb") as file:
        return f"{model.stem}@{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"


def _configuration(message: str) -> ProviderError:
    return ProviderError(
        "sherpa-onnx", message, kind=ErrorKind.PERMANENT, code="local_engine", outcome=Outcome.CONFIG_ERROR
    )
