"""Embedding by OpenAI's API: batches within its limits, and vectors that are checked before they are kept."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from demo.vendors.server import VendorServer
from memories.structuring import openai_embedder
from memories.structuring.openai_embedder import OpenAIEmbedder, estimate, split
from omi.core.errors import ErrorKind, MissingDependency, ProviderError


def test_many_texts_go_in_as_few_requests_as_the_limits_allow(vendors: VendorServer) -> None:
    vectors = OpenAIEmbedder(dimension=64).embed([f"text {at}" for at in range(2500)])
    assert len(vectors) == 2500
    sizes = [len(json.loads(entry["text"])["input"]) for entry in vendors.log("openai", "embeddings")]
    assert sizes == [2048, 452]


def test_a_request_stays_below_the_token_limit(vendors: VendorServer) -> None:
    assert len(OpenAIEmbedder(dimension=64).embed(["word " * 4000] * 60)) == 60
    asked = [json.loads(entry["text"])["input"] for entry in vendors.log("openai", "embeddings")]
    assert sum(map(len, asked)) == 60
    assert all(sum(map(estimate, texts)) <= openai_embedder.MAX_TOKENS for texts in asked)
    assert len(asked) == 2


@pytest.mark.parametrize("text", ["word " * 30_000, "天" * 30_000, "x" * 100_000])
def test_a_text_over_the_models_limit_is_cut_and_pooled(vendors: VendorServer, text: str) -> None:
    parts = split(text)
    assert len(parts) > 1
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(estimate(part) <= openai_embedder.INPUT_TOKENS for part in parts)
    (vector,) = OpenAIEmbedder(dimension=64).embed([text])
    assert math.isclose(math.fsum(value * value for value in vector), 1.0, abs_tol=1e-9)


@pytest.mark.parametrize("fault", ["wrong_size", "zeros"])
def test_a_vector_of_another_size_or_of_zeros_is_not_kept(vendors: VendorServer, fault: str) -> None:
    vendors.faults("openai", {"kind": fault})
    with pytest.raises(ProviderError) as caught:
        OpenAIEmbedder().embed(["hello"])
    assert caught.value.kind is ErrorKind.TRANSIENT
    assert caught.value.code in ("wrong_size", "zero_vector")


def test_the_dimension_is_known_or_asked_for(vendors: VendorServer, settings: Any) -> None:
    assert OpenAIEmbedder().dimension == 3072
    settings.OMI_OPENAI_EMBEDDING_MODEL = "nomic-embed-text"
    with pytest.raises(MissingDependency, match="OMI_OPENAI_EMBEDDING_DIMENSION"):
        OpenAIEmbedder().embed(["hello"])
    settings.OMI_OPENAI_EMBEDDING_DIMENSION = 768
    assert OpenAIEmbedder().dimension == 768
