"""What every embedder must do, whoever is behind it."""

from __future__ import annotations

import math

import pytest
from django.utils.module_loading import import_string

from demo.vendors.server import VendorServer
from memories.structuring.base import Embedder
from omi.settings_providers import _EMBEDDERS

_kept: dict[str, Embedder] = {}


@pytest.fixture(params=sorted(_EMBEDDERS))
def embedder(request: pytest.FixtureRequest, vendors: VendorServer) -> Embedder:
    name = str(request.param)
    if name not in _kept:
        _kept[name] = import_string(_EMBEDDERS[name])()
    return _kept[name]


def cosine(a: list[float], b: list[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def test_one_unit_vector_of_the_stated_dimension_per_text_in_order(embedder: Embedder) -> None:
    texts = ["The dentist fills a tooth.", "A train to Boston.", "The dentist fills a tooth."]
    vectors = embedder.embed(texts)
    assert [len(vector) for vector in vectors] == [embedder.dimension] * 3
    assert all(math.isclose(cosine(vector, vector), 1.0, abs_tol=1e-5) for vector in vectors)
    assert all(isinstance(value, float) for value in vectors[0])
    assert cosine(vectors[0], vectors[2]) > 0.9999
    assert cosine(vectors[0], vectors[1]) < 0.9


def test_the_nearest_text_is_the_one_that_is_about_it(embedder: Embedder) -> None:
    texts = ["We repaired the water pipes in the kitchen.", "The football match was lost.", "Flowers for a birthday."]
    query = embedder.embed(["broken pipes in the kitchen"], query=True)[0]
    scores = [cosine(query, vector) for vector in embedder.embed(texts)]
    assert scores.index(max(scores)) == 0


def test_no_texts_give_no_vectors(embedder: Embedder) -> None:
    assert embedder.embed([]) == []


def test_empty_and_strange_texts_still_get_a_vector(embedder: Embedder) -> None:
    vectors = embedder.embed(["", "   ", "…", "天气", "\x00"])
    assert all(math.isclose(cosine(vector, vector), 1.0, abs_tol=1e-5) for vector in vectors)


def test_a_long_text_is_read_to_its_end(embedder: Embedder) -> None:
    """A model that silently cuts at its limit would give both texts one vector."""
    filler = "We talked about the weather and the garden. " * 32
    plain, ending = embedder.embed([filler, filler + "The surgeon operated on a broken heart valve. " * 8])
    assert cosine(plain, ending) < 0.999


def test_batches_do_not_mix_texts_up(embedder: Embedder) -> None:
    texts = [f"sentence number {at} about {word}" for at, word in enumerate("cats banks trains tea rain".split())]
    together = embedder.embed([*texts, "a much longer text " * 10])
    alone = [embedder.embed([text])[0] for text in texts]
    assert all(cosine(a, b) > 0.999 for a, b in zip(together, alone, strict=False))
