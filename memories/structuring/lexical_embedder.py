"""Embedding without weights: hashed words and letter trigrams. Finds shared words, not shared meaning.

It is never chosen by itself: ``OMI_EMBEDDER=lexical`` asks for it, for machines that cannot hold the 88 MB of weights.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence

from memories.structuring.words import STOP_WORDS
from memories.wording import terms

TRIGRAM_WEIGHT = 0.3
MAX_CHARACTERS = 200_000
"""Of a text: a summary has some thousand. What lies beyond is not in the vector, and is found by its words."""
MAX_WORD = 64
"""Characters of a word that count: a longer one is no word."""


class LexicalEmbedder:
    """Signed feature hashing (Weinberger et al., 2009) into 512 dimensions, counts damped by the logarithm.

    Numbers and amounts count as one word however they are written (``memories/wording.py``).
    """

    name = "lexical"
    model_name = "hashing-words-trigrams-512-2"
    dimension = 512
    remote = False
    price = 0.0

    def embed(self, texts: Sequence[str], *, query: bool = False) -> list[list[float]]:
        """One unit vector of 512 floats per text. ``query`` makes no difference."""
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        counts: dict[str, float] = {}
        for feature, weight in _features(text):
            counts[feature] = counts.get(feature, 0.0) + weight
        vector = [0.0] * self.dimension
        for feature, count in counts.items():
            # crc32 and not hash(): the same in every process
            spot = zlib.crc32(feature.encode("utf-8", "replace"))
            vector[spot % self.dimension] += math.log1p(count) * (1.0 if spot >> 31 else -1.0)
        norm = math.sqrt(math.fsum(value * value for value in vector))
        if norm == 0.0:  # no word at all: still a unit vector, as cosine similarity needs one
            vector[0], norm = 1.0, 1.0
        return [value / norm for value in vector]


def _features(text: str) -> Iterator[tuple[str, float]]:
    for word in terms(text[:MAX_CHARACTERS]):
        if word in STOP_WORDS:
            continue
        word = word[:MAX_WORD]
        yield f"w:{word}", 1.0
        padded = f" {word} "
        for at in range(len(padded) - 2):
            yield f"t:{padded[at : at + 3]}", TRIGRAM_WEIGHT
