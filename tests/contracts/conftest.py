"""The adapters under contract. Where two of them differ, the difference is written down at the test that shows it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from omi.stores.documents.base import Documents
from omi.stores.vectors.base import Vectors
from tests.support.vendor_fixtures import silence, talk, vendor_server, vendors

__all__ = ["silence", "talk", "vendor_server", "vendors"]

PROJECT = "demo-contract"


@pytest.fixture
def firestore_project(firestore_host: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The emulator's project. Its address is in the environment for one test: others look there for a real one."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_host)
    return PROJECT


@pytest.fixture(params=["sqlite", "postgres", "firestore"])
def store(request: pytest.FixtureRequest, settings: Any, django_db_blocker: Any) -> Iterator[Documents]:
    """Each adapter of the documents port, on a real database or the real emulator."""
    yield from make_store(request.param, request, settings, django_db_blocker)


def make_store(kind: str, request: pytest.FixtureRequest, settings: Any, blocker: Any) -> Iterator[Documents]:
    if kind == "firestore":
        from omi.stores.documents.firestore import FirestoreDocuments

        settings.GOOGLE_CLOUD_PROJECT = request.getfixturevalue("firestore_project")
        yield FirestoreDocuments()
        return
    from omi.stores.documents.local import LocalDocuments

    alias = request.getfixturevalue(f"{kind}_alias")
    with blocker.unblock():
        yield LocalDocuments(using=alias)
        connections[alias].close()


@pytest.fixture
def root() -> str:
    """A document of its own for each test; nothing is shared, nothing needs wiping."""
    return f"contract/{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def pinecone_server() -> Iterator[Any]:
    from demo.vendors.server import VendorServer

    with VendorServer(vendors=("pinecone",), pinecone_delay=0.0) as server:
        yield server


@pytest.fixture
def pinecone(pinecone_server: Any, settings: Any) -> Iterator[Any]:
    pinecone_server.reset()
    pinecone_server.set(pinecone_delay=0.0, pinecone_dimension=None)
    settings.PINECONE_INDEX_HOST = pinecone_server.urls["PINECONE_INDEX_HOST"]
    settings.PINECONE_API_KEY = pinecone_server.urls.get("PINECONE_API_KEY", "sim-key")
    yield pinecone_server
    pinecone_server.reset()


@pytest.fixture(params=["sqlite", "postgres", "pinecone"])
def vectors(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[Vectors]:
    """Each adapter of the vectors port; Pinecone on the simulated index."""
    if request.param == "pinecone":
        request.getfixturevalue("pinecone")
        from omi.stores.vectors.pinecone import PineconeVectors

        yield PineconeVectors(timeout=5)
        return
    from omi.stores.vectors.local import LocalVectors

    alias = request.getfixturevalue(f"{request.param}_alias")
    with django_db_blocker.unblock():
        yield LocalVectors(using=alias)
        connections[alias].close()


@pytest.fixture
def space() -> str:
    """A namespace of its own for each test."""
    return f"ns-{uuid.uuid4().hex}"
