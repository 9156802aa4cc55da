"""A small embedder, so that a test of stores or search loads no model; without Django: it also works in the child."""

from __future__ import annotations


class Letters:
    """A 1, and behind it how often each letter from ``a`` on is in the text, until there are ``dimension`` numbers."""

    name = model_name = "letters"
    remote, price = False, 0.0

    def __init__(self, dimension: int = 27) -> None:
        self.dimension = dimension

    def embed(self, texts: list[str], *, query: bool = False) -> list[list[float]]:
        return [[1.0, *(float(text.lower().count(chr(97 + n))) for n in range(self.dimension - 1))] for text in texts]
