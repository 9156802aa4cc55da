"""Voice embedding engines: audio in, L2-normalised vectors out. `VoiceEngine` is what each of them offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class VoiceEngine(Protocol):
    """An embedding is comparable only with one of the same `name` and `version`."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def embed_segments(self, pcm: NDArray[np.int16], segments: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
        """One L2-normalised row per segment (start, end in seconds of the 16 kHz mono `pcm`): shape (n, dimension).

        A row is all zeros where there is nothing to embed: an empty cut, or digital silence.
        """
        ...
