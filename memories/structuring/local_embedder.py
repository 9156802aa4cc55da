"""Text embedding on this machine: all-MiniLM-L6-v2, 384 dimensions, English first (docs/decisions/)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memories.structuring import minilm

if TYPE_CHECKING:
    from memories.structuring.minilm import MiniLM


class LocalEmbedder:
    """Loads its 90 MB of weights at the first use, once per process.

    About 30 sentences a second on one core. Without the weights it raises MissingDependency and never falls back to
    something weaker by itself: two models' vectors in one index would make search quietly wrong.
    """

    name = "local"
    model_name = minilm.MODEL_NAME
    dimension = minilm.DIMENSION
    remote = False
    price = 0.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: MiniLM | None = None

    def embed(self, texts: Sequence[str], *, query: bool = False) -> list[list[float]]:
        """One unit vector of 384 floats per text. Of a ``query`` the first 254 tokens are read: a search
        waits for it, and a thousand characters that are words have fewer."""
        if not texts:
            return []
        with self._lock:
            if self._model is None:
                self._model = minilm.MiniLM()
            # An empty text is embedded as its two markers: legal, near nothing in particular.
            vectors: list[list[float]] = self._model.encode(texts, chunks_each=1 if query else None).tolist()
        return vectors
