"""Two people with tokens, and memories to ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from memories.repository import memories as repository
from memories.shapes import Event, Memory, Structured
from omi.accounts import tokens
from tests.support.servers import WebServer, web_server
from transcription.segments import Segment


class Caller:
    """The app of one user."""

    def __init__(self, uid: str) -> None:
        self.uid = uid
        self.client = Client(headers={"Authorization": f"Bearer {tokens.mint(uid)}"}, raise_request_exception=False)

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def delete(self, path: str) -> Any:
        return self.client.delete(path)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic(method, path, *_json(body), headers=named)

    def upload(self, path: str, content: bytes, name: str = "talk.wav", **headers: str) -> Any:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.client.post(path, {"file": SimpleUploadedFile(name, content, "audio/wav")}, headers=named)


def read(answer: Any) -> None:
    """Take what is sent in pieces to its end, as every client does: until then it holds its place."""
    if answer.streaming:
        b"".join(answer)
        answer._resource_closers.clear()


def _json(body: Any) -> tuple[bytes, str]:
    import json

    return (b"", "application/json") if body is None else (json.dumps(body).encode(), "application/json")


@pytest.fixture
def alice(db: None) -> Caller:
    return Caller("alice")


@pytest.fixture
def bob(db: None) -> Caller:
    return Caller("bob")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """One web server for all tests of the wire that neither kill it nor weigh it."""
    with web_server(tmp_path_factory.mktemp("wire")) as running:
        yield running


@pytest.fixture(scope="session")
def wired(server: WebServer) -> Iterator[httpx.Client]:
    """The app of one user of that server."""
    with server.app("alice") as client:
        yield client


@pytest.fixture
def make_memory(db: None) -> Callable[..., Memory]:
    made = 0

    def make(uid: str = "alice", **fields: Any) -> Memory:
        nonlocal made
        made += 1
        began = datetime(2026, 11, 20, 9, tzinfo=UTC) + timedelta(hours=made)
        given: dict[str, Any] = {
            "id": f"{uid}-memory-{made}",
            "created_at": began,
            "started_at": began,
            "finished_at": began + timedelta(seconds=30),
            "language": "en",
            "structured": Structured(
                title="Boat trip",
                overview="They plan a boat trip.",
                events=[Event(title="Boat trip", start=began + timedelta(days=2), duration=60)],
            ),
            "transcript_segments": [
                segment("s0", "We take the boat to the island on Sunday morning then.", "SPEAKER_00", 0, 4),
                segment("s1", "Good.", "SPEAKER_01", 4, 5),
                segment("s2", "Please bring the yellow life jackets and some bread.", "SPEAKER_00", 5, 9),
            ],
        }
        return repository.create_memory(uid, Memory(**{**given, **fields}))

    return make


def create(app: httpx.Client) -> dict[str, Any]:
    """Post a memory over the wire."""
    words = [{"text": "We buy bread and milk.", "speaker": "SPEAKER_00", "is_user": True, "start": 0, "end": 4}]
    body = {"started_at": "2026-11-20T10:00:00Z", "finished_at": "2026-11-20T10:01:00Z", "transcript_segments": words}
    answer = app.post("/v1/memories?trigger_integrations=false", json=body)
    assert answer.status_code == 200, answer.text
    memory: dict[str, Any] = answer.json()["memory"]
    return memory


def segment(identity: str, text: str, speaker: str, start: float, end: float, **fields: Any) -> Segment:
    return Segment(id=identity, text=text, speaker=speaker, start=start, end=end, **fields)
