"""One rule for ids: what is refused at the door is met by no store, and what came before the rule can be erased."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core import signing
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from demo.vendors.server import VendorServer
from memories.privacy import erasure
from memories.repository import memories
from memories.shapes import Memory
from omi.accounts import identity, tokens
from omi.core.ids import is_id
from omi.stores.documents.paths import check_part
from omi.stores.vectors import vector_id
from omi.stores.vectors.check import check_id

GOOD = [
    "a",
    "dK3xQ2",
    "google-oauth2|1",
    "ana@example.org",
    "x" * 128,
    "6f9e9a0e-2f6b-4a0e-9f0a-7c1f0a3d5b21",
    "_",
    "...",
]
BAD = ["", "zoé", "用户", "a b", "a/b", "a\n", "a\0", "\x7f", ".", "..", "__x__", "x" * 129, "\ud800", None, 7]


@pytest.mark.parametrize("text", GOOD)
def test_what_every_store_takes_is_an_id(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize("text", BAD)
def test_what_some_store_refuses_is_none(text: object) -> None:
    assert not is_id(text)


@given(st.text(max_size=130), st.text(max_size=130))
def test_an_id_never_surprises_a_store(uid: str, memory_id: str) -> None:
    if is_id(uid) and is_id(memory_id):
        check_part(uid)
        check_id(vector_id(uid, memory_id))


@pytest.mark.django_db
@pytest.mark.parametrize("uid", [text for text in BAD if isinstance(text, str) and text != "\ud800"])
def test_a_token_with_another_uid_is_refused(uid: str) -> None:
    """With Pinecone every run of such a user ended in an error, and the account could not be deleted."""
    claims = {"uid": uid, "iat": datetime.now(UTC).timestamp(), "exp": datetime.now(UTC).timestamp() + 60}
    with pytest.raises(identity.InvalidToken):
        identity.verify_token(signing.dumps(claims, salt=tokens.SALT))
    with pytest.raises(ValueError, match="id"):
        tokens.mint(uid)


def body(**more: Any) -> str:
    segment = {
        "text": "bread",
        "speaker": "SPEAKER_00",
        "is_user": True,
        "start": 0,
        "end": 4,
        **more.pop("segment", {}),
    }
    times = {"started_at": "2026-11-20T10:00:00Z", "finished_at": "2026-11-20T10:01:00Z"}
    return json.dumps({**times, "transcript_segments": [segment], **more})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"segment": {"id": "x" * 5000}}, ["body", "transcript_segments", 0, "id"]),
        ({"segment": {"id": "a/b"}}, ["body", "transcript_segments", 0, "id"]),
        ({"segment": {"person_id": "zoé"}}, ["body", "transcript_segments", 0, "person_id"]),
        ({"processing_memory_id": "x" * 129}, ["body", "processing_memory_id"]),
    ],
)
def test_ids_in_a_posted_memory_follow_it(more: dict[str, Any], where: list[Any]) -> None:
    client = Client(headers={"Authorization": f"Bearer {tokens.mint('ana')}"})
    path = "/v1/memories?trigger_integrations=false"
    answer = client.post(path, body(**more), content_type="application/json")
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, where)
    assert client.post(path, body(), content_type="application/json").status_code == 200


@pytest.fixture
def pinecone(settings: Any) -> Iterator[VendorServer]:
    with VendorServer([]) as server:
        settings.PINECONE_INDEX_HOST = server.urls["PINECONE_INDEX_HOST"]
        settings.PINECONE_API_KEY = "sim-key"
        settings.PROVIDERS = {
            **settings.PROVIDERS, "vectors": {"BACKEND": "omi.stores.vectors.pinecone.PineconeVectors"}
        }  # fmt: skip
        yield server


@pytest.mark.django_db
def test_an_account_from_before_the_rule_is_erased_with_pinecone(pinecone: VendorServer) -> None:
    memories.create_memory("zoé", Memory(id="m", created_at=datetime(2026, 11, 20, tzinfo=UTC)))
    receipt = erasure.erase_user("zoé")
    assert (receipt.complete, receipt.failed) == (True, {})
    assert erasure.verify_user_erased("zoé") == {}
