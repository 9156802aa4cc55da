"""Text embedding by OpenAI, or any server that speaks its ``/embeddings``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from django.conf import settings

from memories.structuring.openai_client import VENDOR, about, client
from omi.core.batches import batches
from omi.core.errors import MissingDependency
from omi.core.vendor_errors import broken_answer

MAX_INPUTS = 2048  # per request (docs/reference/vendors.md)
MAX_TOKENS = 250_000  # of the 300,000 per request: the estimate may be a little low
INPUT_TOKENS = 7500  # of the 8192 per input
PRICES = {"text-embedding-3-large": 0.13, "text-embedding-3-small": 0.02, "text-embedding-ada-002": 0.10}
"""US dollars per million tokens, list prices (docs/reference/limits-and-prices.md): overrule with OPTIONS price."""
DIMENSIONS = {"text-embedding-3-large": 3072, "text-embedding-3-small": 1536, "text-embedding-ada-002": 1536}
BLANK = "(empty)"  # the API refuses an empty text


class OpenAIEmbedder:
    """Embeds texts by a model of OpenAI, or of a server that speaks its interface. ``dimension``: needed for a model
    that is not OpenAI's; of ``text-embedding-3-*`` it shortens the vectors."""

    name = VENDOR
    remote = True

    def __init__(self, dimension: int | None = None, timeout: float = 60.0, price: float | None = None) -> None:
        self._dimension, self._timeout, self._price = dimension, timeout, price

    @property
    def price(self) -> float:
        return PRICES.get(self.model_name, 0.0) if self._price is None else self._price

    @property
    def model_name(self) -> str:
        return str(settings.OMI_OPENAI_EMBEDDING_MODEL)

    @property
    def dimension(self) -> int:
        known = self._dimension or settings.OMI_OPENAI_EMBEDDING_DIMENSION or DIMENSIONS.get(self.model_name)
        if not known:
            raise MissingDependency(
                VENDOR,
                f"the dimension of the embedding model {self.model_name}",
                "Set OMI_OPENAI_EMBEDDING_DIMENSION to the length of its vectors.",
            )
        return int(known)

    def about(self) -> str:
        """Return what the server says of the model, for ``doctor``; raises ProviderError where it cannot be used."""
        return about(self.model_name, "OMI_OPENAI_EMBEDDING_MODEL")

    def embed(self, texts: Sequence[str], *, query: bool = False) -> list[list[float]]:
        """Unit vectors in order. A text too long for the model is the mean of its parts, weighted by length."""
        parts: list[str] = []
        owners: list[int] = []
        for index, text in enumerate(texts):
            for part in split(text):
                parts.append(part)
                owners.append(index)
        vectors: list[list[float]] = []
        for batch in batches(parts, MAX_TOKENS, estimate, most=MAX_INPUTS):
            vectors += self._request(batch)
        sums = [[0.0] * self.dimension for _ in texts]
        for part, owner, vector in zip(parts, owners, vectors, strict=True):
            weight = len(part)
            sums[owner] = [total + weight * value for total, value in zip(sums[owner], vector, strict=True)]
        return [_unit(vector) for vector in sums]

    def _request(self, batch: Sequence[str]) -> list[list[float]]:
        shorter = DIMENSIONS.get(self.model_name, self.dimension) != self.dimension
        with client(self._timeout) as openai:
            if shorter:
                answer = openai.embeddings.create(model=self.model_name, input=list(batch), dimensions=self.dimension)
            else:
                answer = openai.embeddings.create(model=self.model_name, input=list(batch))
            rows = sorted(answer.data, key=lambda row: row.index)
            indexes, vectors = [row.index for row in rows], [list(row.embedding) for row in rows]
        if indexes != list(range(len(batch))):
            raise broken_answer(VENDOR, "answered with another number of vectors", code="wrong_count")
        return [self._checked(vector) for vector in vectors]

    def _checked(self, vector: Sequence[float]) -> list[float]:
        if len(vector) != self.dimension:
            said = f"answered with vectors of {len(vector)} numbers instead of {self.dimension}"
            raise broken_answer(VENDOR, said, code="wrong_size")
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in vector) or not any(vector):
            raise broken_answer(VENDOR, "answered with a vector of zeros or of no numbers", code="zero_vector")
        return _unit(vector)


def estimate(text: str) -> int:
    """Return about how many tokens a text has, rather too many: a token for 3 bytes."""
    return len(text.encode("utf-8", "replace")) // 3 + 1


def split(text: str) -> list[str]:
    """Return the parts of a text that the model can take, cut between words where there are any."""
    text = text.strip() or BLANK
    if estimate(text) <= INPUT_TOKENS:
        return [text]
    parts: list[str] = []
    start = 0
    while start < len(text):
        size = min(len(text) - start, INPUT_TOKENS * 3)
        while estimate(text[start : start + size]) > INPUT_TOKENS:
            size = size * 3 // 4
        blank = text.rfind(" ", start + size // 2, start + size) if start + size < len(text) else -1
        end = blank if blank > 0 else start + size
        part = text[start:end].strip()
        if part:
            parts.append(part)
        start = end
    return parts


def _unit(vector: Sequence[float]) -> list[float]:
    norm = math.sqrt(math.fsum(value * value for value in vector)) or 1.0
    return [value / norm for value in vector]
