"""Embedding without weights: hashed word and letter n-grams. Finds shared words, not shared meaning.

It is never chosen by itself: ``OMI_EMBEDDER=lexical`` asks for it, for machines that cannot hold the 88 MB of weights.
"""

from __future__ import annotations

from collections.abc import Sequence


class LexicalEmbedder:
    """HashingVectorizer over words (any script) and letter trigrams, 512 dimensions, unit length."""

    name = "lexical"
    model_name = "hashing-words-trigrams-512"
    dimension = 512
    remote = False

    def embed(self, texts: Sequence[str], *, query: bool = False) -> list[list[float]]:
        if not texts:
            return []
        import numpy as np
        from sklearn.feature_extraction.text import HashingVectorizer

        words = HashingVectorizer(n_features=self.dimension, stop_words="english", norm="l2")
        letters = HashingVectorizer(n_features=self.dimension, analyzer="char_wb", ngram_range=(3, 3), norm="l2")
        vectors = (words.transform(texts) + 0.5 * letters.transform(texts)).toarray()
        # A text without any token still gets a unit vector: cosine similarity needs one.
        vectors[~vectors.any(axis=1), 0] = 1.0
        unit: list[list[float]] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).tolist()
        return unit
