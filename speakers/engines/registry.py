"""``settings.PROVIDERS["voices"]``: the configured voice engine, run in a child process.

The engine is CAM++, which is built in, or the .onnx model that ``OMI_VOICE_MODEL`` names. It offers what a
``VoiceEngine`` does, so that everything that takes an engine takes it. ``live()`` is a second child, so that a listener
never waits behind an enrolment.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from omi.core.errors import ErrorKind, ProviderError
from speakers.engines.client import VENDOR, WorkerClient


class ConfiguredVoices:
    """The voice engine that the settings name, in a child process. ``model``: path of an .onnx model; None takes the
    setting, the empty string the bundled engine.

    Every method raises ProviderError: permanent for a missing model, transient where the child died or hung.
    """

    def __init__(self, model: str | None = None) -> None:
        self._model = settings.OMI_VOICE_MODEL if model is None else model
        self._client = WorkerClient(self._model)
        self._live: ConfiguredVoices | None = None
        weakref.finalize(self, self._client.close)  # with the last user of this engine, or the process, the child ends

    @property
    def name(self) -> str:
        return str(self._client.describe()["name"])

    @property
    def version(self) -> str:
        return str(self._client.describe()["version"])

    @property
    def dimension(self) -> int:
        return int(self._client.describe()["dimension"])

    def embed_segments(self, pcm: NDArray[np.int16], segments: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
        """One L2-normalised row per (start, end) in seconds of the 16 kHz mono ``pcm``; zeros for nothing to embed."""
        rows = self._client.embed(pcm, [(float(start), float(end)) for start, end in segments])
        if not np.isfinite(rows).all():
            raise ProviderError(VENDOR, "the engine gave a broken embedding", kind=ErrorKind.PERMANENT, code="nan")
        return rows

    def speech_regions(self, pcm: NDArray[np.int16]) -> list[tuple[float, float]]:
        """Return where somebody speaks, as (start, end) in seconds of the 16 kHz mono ``pcm``."""
        return self._client.speech(pcm)

    def live(self) -> ConfiguredVoices:
        if self._live is None:
            self._live = ConfiguredVoices(self._model)
        return self._live

    def close(self) -> None:
        self._client.close()
        if self._live is not None:
            self._live.close()
