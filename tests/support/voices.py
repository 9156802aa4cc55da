"""The voice engine for tests of what stands on it: the configured one, whose child is started once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speakers.engines.client import WorkerClient
from speakers.engines.registry import ConfiguredVoices

_clients: dict[str, WorkerClient] = {}
_rows: dict[tuple[str, float, float], NDArray[np.float32]] = {}


class KeptVoices(ConfiguredVoices):
    """Each test that sets ``PROVIDERS`` loads its backends anew: a child for each would take a third of a second.

    What a piece of audio was embedded to is remembered, too: tests of one file enrol the same voices.
    """

    def __init__(self, model: str | None = None) -> None:
        super().__init__(model)
        self._client = _clients.setdefault(self._model, WorkerClient(self._model))

    def embed_segments(self, pcm: NDArray[np.int16], segments: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
        audio = hashlib.sha256(np.ascontiguousarray(pcm).tobytes() + self._model.encode()).hexdigest()
        keys = [(audio, float(start), float(end)) for start, end in segments]
        new = [key for key in dict.fromkeys(keys) if key not in _rows]
        if new or not keys:
            rows = super().embed_segments(pcm, [(start, end) for _, start, end in new])
            _rows.update(zip(new, rows, strict=True))
            if not keys:
                return rows
        return np.stack([_rows[key] for key in keys])
