"""Pinecone's own ways: its errors, writes that are seen later, missing settings, an index that is away."""

from __future__ import annotations

import time
from typing import Any

import pytest

from omi.core.errors import ErrorKind, MissingDependency, ProviderError
from omi.stores.vectors.pinecone import PineconeVectors
from tests.contracts.vectors import record, unit


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ErrorKind.PERMANENT), (401, ErrorKind.PERMANENT), (402, ErrorKind.QUOTA), (403, ErrorKind.PERMANENT),
     (408, ErrorKind.TRANSIENT), (429, ErrorKind.TRANSIENT), (500, ErrorKind.TRANSIENT), (503, ErrorKind.TRANSIENT)],
)  # fmt: skip
def test_pinecones_errors_are_ours_and_nothing_is_retried(
    pinecone: Any, space: str, status: int, kind: ErrorKind
) -> None:
    store = PineconeVectors(timeout=5)
    store.upsert([record("u", "1", unit(1))], namespace=space)
    before = len(pinecone.log("pinecone", "query"))
    pinecone.faults("pinecone", {"kind": "refuse", "status": status, "op": "query", "message": "secret sim-key"})
    with pytest.raises(ProviderError) as caught:
        store.query(unit(1), namespace=space, top_k=1, filter={"uid": "u"})
    assert caught.value.kind is kind
    assert "sim-key" not in str(caught.value)
    assert len(pinecone.log("pinecone", "query")) == before + 1


def test_a_write_is_not_expected_to_be_seen_at_once(pinecone: Any, space: str) -> None:
    pinecone.set(pinecone_delay=0.3)
    store = PineconeVectors(timeout=5)
    store.upsert([record("u", "1", unit(1))], namespace=space)
    deadline = time.monotonic() + 10
    while not store.query(unit(1), namespace=space, top_k=1, filter={"uid": "u"}):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_many_long_ids_are_fetched_by_several_addresses(pinecone: Any, space: str) -> None:
    """Passages of long talks: an id holds the user's, the memory's and a number."""
    store = PineconeVectors(timeout=5)
    records = [record("u" * 60, f"{number:03d}#{'m' * 60}", unit(1)) for number in range(100)]
    store.upsert(records, namespace=space)
    assert len(store.fetch([item.id for item in records], namespace=space)) == 100


def test_without_its_settings_the_adapter_says_which_is_missing(settings: Any) -> None:
    settings.PINECONE_INDEX_HOST = ""
    with pytest.raises(MissingDependency, match="PINECONE_INDEX_HOST"):
        PineconeVectors().count(namespace="n")
    settings.PINECONE_INDEX_HOST = "http://127.0.0.1:9"
    settings.PINECONE_API_KEY = ""
    with pytest.raises(MissingDependency, match="PINECONE_API_KEY"):
        PineconeVectors().count(namespace="n")


def test_an_index_that_is_out_of_reach_is_a_transient_error(settings: Any) -> None:
    from tests.support.processes import free_port

    settings.PINECONE_INDEX_HOST = f"http://127.0.0.1:{free_port()}"
    settings.PINECONE_API_KEY = "sim-key"
    with pytest.raises(ProviderError) as caught:
        PineconeVectors(timeout=2).query(unit(1), namespace="n", top_k=1)
    assert caught.value.retryable
