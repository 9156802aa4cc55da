"""A stranger gets 404 everywhere, the owner does not; without a token it is 401 and never for a transient fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from memories.document_parts import Comment
from memories.links.models import SharedLink
from memories.models import Webhook
from memories.offline.models import SyncBatch
from memories.repository import processing, transcripts
from memories.reshaping.models import Reshaping
from memories.shapes import ActionItem, Change, Memory, ProcessingMemory, UserEdits
from memories.vocabulary.models import Healing
from memories.webhooks import signing
from omi.accounts.identity import IdentityUnavailable
from omi.stores import audio
from omi.stores.documents import documents
from tests.api.conftest import Caller, segment
from tests.support.sound import tone

Make = Callable[..., Memory]

M = "/v1/memories/alice-memory-1"
TASK = "WyJhbGljZS1tZW1vcnktMSIsICJhaV9hbGljZSJd"
"""The action item ``ai_alice`` of this memory."""
JSON_CALLS: list[tuple[str, str, Any]] = [
    ("GET", M, None),
    ("PATCH", M, {"title": "Mine"}),
    ("POST", f"{M}/reprocess", None),
    ("GET", f"{M}/photos", None),
    ("GET", f"{M}/transcripts", None),
    ("GET", f"{M}/transcripts/versions", None),
    ("POST", f"{M}/transcripts/deepgram_streaming/activate", None),
    ("GET", f"{M}/recording", None),
    ("GET", f"{M}/recording/audio", None),
    ("GET", f"{M}/download/srt", None),
    ("PATCH", f"{M}/events", {"events_idx": [0], "values": [True]}),
    ("PATCH", f"{M}/visibility?value=shared", None),
    ("GET", f"{M}/speakers", None),
    ("PATCH", f"{M}/segments/assign-bulk", {"speaker": "SPEAKER_00", "is_user": True}),
    ("PATCH", f"{M}/segments/0/assign?assign_type=is_user&value=true", None),
    ("PATCH", f"{M}/segments/s0/text", {"text": "We take the train."}),
    ("POST", f"{M}/voices/merge", {"voice": "SPEAKER_01", "into": "SPEAKER_00"}),
    ("POST", f"{M}/voices/split", {"segment_ids": ["s2"]}),
    ("GET", f"{M}/action-items", None),
    ("POST", f"{M}/action-items", {"description": "Buy bread"}),
    ("PATCH", f"{M}/action-items/ai_alice", {"completed": True}),
    ("DELETE", f"{M}/action-items/ai_alice", None),
    ("GET", f"{M}/changes", None),
    ("POST", f"{M}/changes/ch_alice/undo", None),
    ("PATCH", f"/v1/action-items/{TASK}", {"completed": True}),
    ("POST", f"{M}/split", {"segment_id": "s1"}),
    ("GET", "/v1/reshapings/rs_alice", None),
    ("POST", "/v1/reshapings/rs_alice/undo", None),
    ("PUT", f"{M}/template", {"template_id": "meeting"}),
    ("PUT", "/v1/templates/st_alice", {"name": "Mine", "sections": [{"heading": "Mine"}]}),
    ("DELETE", "/v1/templates/st_alice", None),
    ("PATCH", f"{M}/labels", {"tag_ids": []}),
    ("GET", f"{M}/comments", None),
    ("POST", f"{M}/comments", {"text": "Mine"}),
    ("PATCH", f"{M}/comments/cm_alice", {"text": "Mine"}),
    ("DELETE", f"{M}/comments/cm_alice", None),
    ("PATCH", "/v1/labels/fo_alice", {"name": "Mine"}),
    ("DELETE", "/v1/labels/fo_alice", None),
    ("GET", f"{M}/links", None),
    ("POST", f"{M}/links", {"fields": ["title"]}),
    ("DELETE", f"{M}/links/ln_alice", None),
    ("GET", f"{M}/post-processing", None),
    ("POST", f"{M}/post-processing/cancel", None),
    ("POST", f"{M}/post-processing/retry", None),
    ("GET", "/v1/processing-memories/p-1", None),
    ("PATCH", "/v1/processing-memories/p-1", {"emotional_feedback": True}),
    ("GET", "/v1/webhooks/wh_alice", None),
    ("PATCH", "/v1/webhooks/wh_alice", {"kinds": ["memory.created"]}),
    ("POST", "/v1/webhooks/wh_alice/rotate", None),
    ("POST", "/v1/webhooks/wh_alice/test", None),
    ("GET", "/v1/webhooks/wh_alice/deliveries", None),
    ("POST", "/v1/webhooks/wh_alice/deliveries/1/resend", None),
    ("DELETE", "/v1/webhooks/wh_alice", None),
    ("GET", "/v1/vocabulary/healings/heal_alice", None),
    ("POST", "/v1/vocabulary/healings/heal_alice/go-on", None),
    ("POST", "/v1/vocabulary/healings/heal_alice/undo", None),
    ("GET", "/v1/sync/sync_alice", None),
    ("POST", "/v1/sync/sync_alice/finish", None),
    ("DELETE", "/v1/sync/sync_alice", None),
    ("DELETE", M, None),
]


@pytest.fixture
def belongings(make_memory: Make) -> Memory:
    """Everything of Alice's that the calls above ask for."""
    added = Change(
        id="ch_alice", kind="item_add", at=datetime.now(UTC), item_id="ai_alice", item=ActionItem(description="Row")
    )
    said = Comment(id="cm_alice", text="Hers", at=datetime.now(UTC))
    memory = make_memory("alice", edits=UserEdits(changes=[added], made_items=[], comments=[said]))
    documents().create("users/alice/templates/st_alice", {"name": "Hers", "sections": []})
    documents().create("users/alice/labels/fo_alice", {"kind": "folder", "name": "Hers", "created_at": said.at})
    transcripts.save_transcript(
        "alice", memory.id, "deepgram_streaming", [segment("d0", "Hi.", "SPEAKER_00", 0, 1)], {}
    )
    audio.put("alice", "recording", tone(1), memory_id=memory.id, keep_for=None)
    now = datetime.now(UTC)
    processing.create("alice", ProcessingMemory(id="p-1", created_at=now, timer_start=1.0))
    SharedLink.objects.create(
        id="ln_alice", digest="0", uid="alice", memory_id=memory.id, fields=["title"], created_at=now, expires_at=now
    )
    done = Reshaping.objects.create(
        id="rs_alice", uid="alice", kind="merge", key="k", state="done", finished=True, next_at=now, done_at=now
    )
    done.memories.create(uid="alice", memory_id=memory.id, made=True, position=0)
    hook = Webhook.objects.create(
        id="wh_alice",
        uid="alice",
        url="https://example.com/",
        secret=signing.sealed(signing.new_secret()),
        created_at=now,
    )
    hook.deliveries.create(
        number=1, message_id="msg_1", kind="webhook.test", body="{}", state="failed", created_at=now, give_up_at=now,
        next_at=now,
    )  # fmt: skip
    Webhook.objects.update(last_number=1)
    Healing.objects.create(id="heal_alice", uid="alice", heard="boat", term="ferry", created_at=now)
    SyncBatch.objects.create(id="sync_alice", uid="alice", language="en", request="0", created_at=now, expires_at=now)
    return memory


@pytest.mark.parametrize(("method", "path", "body"), JSON_CALLS, ids=[f"{call[0]} {call[1]}" for call in JSON_CALLS])
def test_a_stranger_gets_404_and_changes_nothing(
    belongings: Memory, alice: Caller, bob: Caller, method: str, path: str, body: Any
) -> None:
    before = alice.get(M).json()
    answer = bob.send(method, path, body)
    assert answer.status_code == 404, answer.content
    assert "detail" in answer.json()
    assert alice.get(M).json() == before


@pytest.mark.parametrize(("method", "path", "body"), JSON_CALLS, ids=[f"{call[0]} {call[1]}" for call in JSON_CALLS])
def test_the_owner_gets_an_answer(belongings: Memory, alice: Caller, method: str, path: str, body: Any) -> None:
    if "/post-processing" in path:
        assert alice.upload(f"{M}/post-processing", tone(11)).status_code == 200
    if path.endswith("/retry"):
        assert alice.send("POST", f"{M}/post-processing/cancel").status_code == 200
    answer = alice.send(method, path, body)
    assert answer.status_code == (204 if method == "DELETE" else 200), answer.content


def test_a_strangers_upload_is_refused_before_it_is_read(belongings: Memory, bob: Caller) -> None:
    answer = bob.upload(f"{M}/post-processing", b"not even audio")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Memory not found"})


def test_lists_and_search_hold_only_ones_own(belongings: Memory, bob: Caller) -> None:
    assert bob.get("/v1/memories").json() == []
    assert bob.send("POST", "/v1/memories/search", {"query": "boat island"}).json() == {"hits": []}


ALL = [
    *JSON_CALLS,
    ("GET", "/v1/memories", None),
    ("GET", "/v1/events", None),
    ("GET", "/v1/users/export", None),
    ("GET", "/v1/users/vault", None),
    ("GET", "/v1/webhooks", None),
    ("GET", "/v1/vocabulary/healings", None),
    ("GET", "/v1/vocabulary/healings/offers", None),
    ("POST", "/v1/vocabulary/healings", {"heard": "a", "term": "b"}),
    ("POST", "/v1/vocabulary/healings/preview", {"heard": "a", "term": "b"}),
    ("GET", "/v1/sync", None),
    ("POST", "/v1/sync", {}),
    ("POST", "/v1/webhooks", {}),
    ("POST", "/v1/memories/merge", {"memory_ids": ["alice-memory-1", "alice-memory-2"]}),
    ("GET", "/v1/reshapings", None),
    ("GET", "/v1/action-items", None),
    ("GET", "/v1/trash", None),
    ("DELETE", "/v1/trash", None),
    ("DELETE", "/v1/trash/alice-memory-1", None),
    ("GET", "/v1/templates", None),
    ("POST", "/v1/templates", {"name": "Mine", "sections": [{"heading": "Mine"}]}),
    ("PUT", "/v1/templates/default", {"category": "work", "template_id": "meeting"}),
    ("GET", "/v1/labels", None),
    ("POST", "/v1/labels", {"kind": "folder", "name": "Mine"}),
    ("GET", "/v1/action-items/feed", None),
    ("POST", "/v1/action-items/feed", None),
    ("DELETE", "/v1/action-items/feed", None),
    ("GET", "/v1/search?q=boat", None),
    ("POST", "/v1/ask", {"question": "boat"}),
    ("GET", "/v1/recaps", None),
    ("GET", "/v1/recaps/day/2026-11-20", None),
    ("POST", "/v1/recaps/day/2026-11-20/regenerate", None),
    ("GET", "/v1/insights", None),
    ("GET", "/v1/insights/plots/topics.svg", None),
    ("GET", "/v1/users/settings", None),
    ("PATCH", "/v1/users/settings", {"name": "x"}),
    ("GET", "/v1/users/retention", None),
    ("PATCH", "/v1/users/retention", {"recordings_keep_days": 7}),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path", "body"), ALL, ids=[f"{call[0]} {call[1]}" for call in ALL])
def test_without_a_token_and_with_a_bad_one_it_is_401(method: str, path: str, body: Any) -> None:
    client = Client()
    content = json.dumps(body or {}).encode()
    missing = client.generic(method, path, content, "application/json")
    assert (missing.status_code, missing.json()) == (401, {"detail": "Authorization header not found"})
    assert missing.headers["WWW-Authenticate"] == "Bearer"
    for header in ("Bearer nonsense", "Bearer ", "Basic YTpi", "Bearer é".encode().decode("latin-1")):
        bad = client.generic(method, path, content, "application/json", headers={"Authorization": header})
        assert bad.status_code == 401, header


@pytest.mark.parametrize("path", ["/v1/memories", "/v1/events"])
def test_an_identity_service_out_of_reach_is_503_and_never_401(
    alice: Caller, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A second 401 signs the app's user out."""

    def unreachable(token: str) -> None:
        raise IdentityUnavailable("down")

    monkeypatch.setattr("omi.accounts.authentication.verify_token", unreachable)
    answer = alice.get(path)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
