"""The voice engine for tests of what stands on it: the configured one, whose child is started once."""

from __future__ import annotations

from speakers.engines.client import WorkerClient
from speakers.engines.registry import ConfiguredVoices

_clients: dict[str, WorkerClient] = {}


class KeptVoices(ConfiguredVoices):
    """Each test that sets ``PROVIDERS`` loads its backends anew: a child for each would take a third of a second."""

    def __init__(self, model: str | None = None) -> None:
        super().__init__(model)
        self._client = _clients.setdefault(self._model, WorkerClient(self._model))
