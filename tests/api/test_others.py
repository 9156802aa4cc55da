"""Recording, processing memories, users, search, callbacks, health and the OpenAPI document."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import Client
from django.utils import timezone

from memories.models import SearchWord, VendorCallback
from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.repository import memories as repository
from memories.repository import processing
from memories.search import query as search
from memories.search import word_index
from memories.shapes import Memory, ProcessingMemory, Structured
from omi.core import providers
from omi.core.errors import ErrorKind, ProviderError
from omi.stores import audio
from tests.api.conftest import Caller, segment
from tests.support.sound import tone

Make = Callable[..., Memory]


def test_a_recording_is_played_from_any_point(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    url = f"/v1/memories/{memory.id}/recording"
    assert alice.get(url).json() == {"has_recording": False}
    assert alice.get(f"{url}/audio").status_code == 404
    content = tone(2)
    audio.put("alice", "recording", content, memory_id=memory.id, keep_for=None)
    assert alice.get(url).json() == {"has_recording": True}
    whole = alice.get(f"{url}/audio")
    assert (whole.status_code, whole.headers["Accept-Ranges"], b"".join(whole)) == (200, "bytes", content)
    for asked, code, start, end in [
        ("bytes=0-99", 206, 0, 100),
        ("bytes=1000-", 206, 1000, len(content)),
        ("bytes=-50", 206, len(content) - 50, len(content)),
        ("bytes=5-99999999", 206, 5, len(content)),
        ("items=1-2", 200, 0, len(content)),
    ]:
        part = alice.get(f"{url}/audio", Range=asked)
        assert (part.status_code, b"".join(part)) == (code, content[start:end]), asked
        if code == 206:
            assert part.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(content)}"
    for asked in (f"bytes={len(content)}-", "bytes=9-3", "bytes=-0"):
        refused = alice.get(f"{url}/audio", Range=asked)
        assert (refused.status_code, refused.headers["Content-Range"]) == (416, f"bytes */{len(content)}"), asked


def test_an_upload_that_waits_is_not_a_recording(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    alice.upload(f"/v1/memories/{memory.id}/post-processing", tone(11))
    assert alice.get(f"/v1/memories/{memory.id}/recording").json() == {"has_recording": False}


def test_processing_memory_keeps_what_is_left_out(alice: Caller) -> None:
    """A fault of the original: leaving out ``emotional_feedback`` reset it."""
    processing.create("alice", ProcessingMemory(id="p", created_at=datetime.now(UTC), timer_start=5.0))
    url = "/v1/processing-memories/p"
    place = {"latitude": 48, "longitude": 11.5}
    first = alice.send("PATCH", url, {"geolocation": place, "emotional_feedback": True})
    assert first.status_code == 200
    assert set(first.json()["result"]) == {"id", "timer_start", "created_at", "geolocation", "emotional_feedback"}
    assert b'"latitude":48.0' in first.content
    second = alice.send("PATCH", url, {"geolocation": {"latitude": 47.0, "longitude": 11.0}}).json()["result"]
    assert (second["emotional_feedback"], second["geolocation"]["latitude"]) == (True, 47.0)
    third = alice.send("PATCH", url, {"emotional_feedback": False}).json()["result"]
    assert (third["emotional_feedback"], third["geolocation"]["latitude"]) == (False, 47.0)
    assert alice.get(url).json()["timer_start"] == 5.0
    assert alice.get("/v1/processing-memories/none").json() == {"detail": "Processing memory not found"}


def test_permission_is_off_by_default_and_withdrawing_erases_recordings(alice: Caller, make_memory: Make) -> None:
    """A fault of the original: a user without a document crashed it."""
    url = "/v1/users/store-recording-permission"
    memory = make_memory()
    assert alice.get(url).json() == {"store_recording_permission": False}
    assert alice.send("POST", f"{url}?value=true").json() == {"status": "ok"}
    assert alice.get(url).json() == {"store_recording_permission": True}
    audio.put("alice", "recording", b"x", memory_id=memory.id, keep_for=None)
    audio.put("bob", "recording", b"y", memory_id="b", keep_for=None)
    assert alice.delete(url).json() == {"status": "ok"}
    assert audio.for_memory("alice", memory.id) == []
    assert len(audio.for_memory("bob", "b")) == 1
    assert alice.get(url).json() == {"store_recording_permission": False}


def test_fcm_token(alice: Caller) -> None:
    from omi.accounts import users

    body = {"fcm_token": "t", "time_zone": "Europe/Berlin"}
    assert alice.send("POST", "/v1/users/fcm-token", body).json() == {"status": "Ok"}
    assert (users.get_user("alice").fcm_tokens, users.get_user("alice").time_zone) == (["t"], "Europe/Berlin")
    assert alice.send("POST", "/v1/users/fcm-token", {"fcm_token": ""}).status_code == 422


def test_export_and_deletion_of_the_account(alice: Caller, bob: Caller, make_memory: Make) -> None:
    """A fault of the original: deleting the account deleted nothing."""
    make_memory()
    his = make_memory("bob")
    exported = alice.get("/v1/users/export")
    assert exported.status_code == 200
    assert b"".join(exported)[:2] == b"PK"
    answer = alice.delete("/v1/users/delete-account")
    assert (answer.status_code, set(answer.json())) == (200, {"status", "message", "receipt"})
    assert repository.list_memories("alice").memories == []
    assert alice.get("/v1/memories").status_code == 401
    assert [item["id"] for item in bob.get("/v1/memories").json()] == [his.id]


# --- search ---


@pytest.fixture
def talks(make_memory: Make) -> dict[str, Memory]:
    def talk(title: str, words: str, **fields: Any) -> Memory:
        spoken = [segment("s", words, "SPEAKER_00", 0, 5)]
        return make_memory(structured=Structured(title=title, overview=words), transcript_segments=spoken, **fields)

    made = {
        "boat": talk("Boat trip", "We take the sailing boat to the island on Sunday with yellow life jackets."),
        "money": talk("Budget", "The quarterly budget of project ZQX-7 is too small for two new laptops."),
        "doctor": talk("Doctor", "The doctor says that my knee needs rest and no running for a month."),
        "hidden": talk("Boat again", "The boat was sold.", discarded=True),
    }
    from omi.stores.vectors import namespace, vector_id, vectors
    from omi.stores.vectors.base import Vector

    embedder = providers.one("embedder")
    for memory, values in zip(
        made.values(), embedder.embed([memory.structured.text() for memory in made.values()]), strict=True
    ):
        data = {"uid": "alice", "memory_id": memory.id, "created_at": int(memory.created_at.timestamp())}
        vectors().upsert([Vector(vector_id("alice", memory.id), values, data)], namespace=namespace())
    return made


def found(caller: Caller, query: str, **more: Any) -> list[str]:
    answer = caller.send("POST", "/v1/memories/search", {"query": query, **more})
    assert answer.status_code == 200, answer.content
    return [hit["memory"]["id"] for hit in answer.json()["hits"]]


def test_search_by_meaning_and_by_names(alice: Caller, bob: Caller, talks: dict[str, Memory]) -> None:
    """A fault of the original: search by vectors alone missed names and acronyms."""
    assert found(alice, "sailing to an island")[0] == talks["boat"].id
    assert found(alice, "what did the physician say about my leg")[0] == talks["doctor"].id
    assert found(alice, "ZQX")[0] == talks["money"].id
    assert found(bob, "sailing to an island") == []


def test_search_leaves_out_discarded_and_deleted_ones(alice: Caller, talks: dict[str, Memory]) -> None:
    assert talks["hidden"].id not in found(alice, "boat")
    assert talks["hidden"].id in found(alice, "boat", include_discarded=True)
    repository.delete_memory("alice", talks["boat"].id)
    assert talks["boat"].id not in found(alice, "boat", include_discarded=True)


def test_search_filters_by_category_date_and_limit(alice: Caller, talks: dict[str, Memory]) -> None:
    later = talks["money"].created_at.isoformat()
    assert talks["boat"].id not in found(alice, "boat budget", start_date=later)
    assert found(alice, "boat budget", category="health") == []
    assert len(found(alice, "boat budget doctor", limit=1)) == 1
    assert alice.send("POST", "/v1/memories/search", {"query": ""}).status_code == 422
    assert alice.send("POST", "/v1/memories/search", {"query": "x", "limit": 1000}).status_code == 422


def test_search_finds_what_was_changed_a_moment_ago(alice: Caller, talks: dict[str, Memory]) -> None:
    alice.send("PATCH", f"/v1/memories/{talks['doctor'].id}", {"title": "Kniebeschwerden"})
    assert found(alice, "Kniebeschwerden")[0] == talks["doctor"].id


def test_the_index_holds_no_words(alice: Caller, talks: dict[str, Memory]) -> None:
    found(alice, "boat")
    assert SearchWord.objects.count() > 20
    assert all(isinstance(word, int) for word in SearchWord.objects.values_list("word", flat=True))
    assert len(word_index.find("alice", "boat")) == 2
    assert word_index.find("bob", "boat") == []


def test_search_by_words_alone_while_the_embedder_is_down(
    alice: Caller, talks: dict[str, Memory], monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*args: Any, **kwargs: Any) -> None:
        raise ProviderError("openai", "the service is out of reach", kind=ErrorKind.TRANSIENT)

    monkeypatch.setattr(search, "_by_meaning", down)
    assert found(alice, "budget") == [talks["money"].id]
    assert alice.send("POST", "/v1/memories/search", {"query": "giraffe"}).status_code == 503


# --- callbacks ---


def test_only_fals_signature_is_believed_and_only_once(
    db: None, make_memory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the original: the vendor's callback was not checked."""
    from hashlib import sha256

    from transcription.vendors.batch import webhook

    key = Ed25519PrivateKey.generate()
    monkeypatch.setattr(webhook, "_keys", lambda: [key.public_key().public_bytes_raw()])
    monkeypatch.setattr(webhook, "_newer_keys", lambda: [])
    memory = make_memory()
    run = service.start("reprocess", "alice", memory.id, actor="test")
    now = timezone.now()
    soon = now + timezone.timedelta(hours=1)
    row = PostProcessingRun.objects.filter(pk=run.pk)
    row.update(state="running", lease_owner="x", lease_until=soon)
    row.update(state="waiting", due_at=soon, lease_owner="", lease_until=None)
    VendorCall.objects.create(
        run=run, step="transcribe", fence=1, vendor=webhook.VENDOR, operation="transcribe", request_key="k",
        started_at=now, reference="job-1",
    )  # fmt: skip
    raw, stamp = b'{"request_id": "job-1", "status": "OK"}', str(int(time.time()))

    def post(signer: Ed25519PrivateKey) -> Any:
        message = "\n".join(["job-1", "user", stamp, sha256(raw).hexdigest()]).encode()
        parts = {"Request-Id": "job-1", "User-Id": "user", "Timestamp": stamp, "Signature": signer.sign(message).hex()}
        headers = {f"X-Fal-Webhook-{name}": value for name, value in parts.items()}
        return Client().post("/v1/vendors/fal/webhook", raw, content_type="application/json", headers=headers)

    assert post(Ed25519PrivateKey.generate()).status_code == 401
    run.refresh_from_db()
    assert run.due_at == soon
    assert post(key).json() == {"status": "ok", "repeated": False}
    run.refresh_from_db()
    assert run.due_at is not None
    assert run.due_at <= timezone.now()
    assert post(key).json() == {"status": "ok", "repeated": True}
    assert VendorCallback.objects.get().runs == 1


# --- the roof ---


def test_health_schema_docs_and_metrics(db: None, client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["documents"]["ok"]) == (200, True)
    assert client.get("/docs").status_code == 200
    assert client.options("/docs").status_code == 405
    schema = client.get("/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    assert client.get("/metrics").status_code == 200
    for path in ("/v1/memories", "/v1/memories/{memory_id}/post-processing", "/v3/upload-audio"):
        assert path in schema["paths"]
    post = schema["paths"]["/v1/memories"]["post"]
    assert {item["name"]: item["required"] for item in post["parameters"] if "required" in item} == {
        "trigger_integrations": True
    }
    assert "200" in post["responses"]
    assert "201" not in post["responses"]


def test_not_ready_without_the_documents(db: None, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from omi import health

    def down() -> None:
        raise ProviderError("firestore", "out of reach", kind=ErrorKind.TRANSIENT)

    health.forget()
    monkeypatch.setattr(health, "_documents", down)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["documents"]["ok"]) == (503, False)
    health.forget()
