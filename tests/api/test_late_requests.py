"""A request that was let in before the account (or memory) was erased, and writes afterwards: nothing comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memories import postprocessing
from memories.api import users as users_api
from memories.capture import create
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.privacy import erasure
from memories.search import query as search
from memories.shapes import Memory
from omi.stores.models import AudioObject
from speakers.api import people as people_api
from tests.api.conftest import Caller
from tests.support.sound import tone

pytestmark = pytest.mark.django_db
Remember = Callable[..., Memory]


def first(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, act: Callable[[], Any]) -> None:
    """``act`` happens just before ``module.name`` is called: after the token was looked at, before anything is
    stored."""
    real = getattr(module, name)

    def called(*args: Any, **kwargs: Any) -> Any:
        act()
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, called)


def live_audio() -> int:
    return AudioObject.objects.filter(deleted_at=None).count()


def test_a_memory_that_is_posted_while_the_account_is_erased_is_refused(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    first(monkeypatch, create, "_of_people", lambda: erasure.erase_user("alice"))
    body = {"transcript_segments": [{"text": "Hello.", "start": 0, "end": 1}], "started_at": "2026-11-22T10:00:00Z",
            "finished_at": "2026-11-22T10:00:01Z"}  # fmt: skip
    answer = alice.send("POST", "/v1/memories?trigger_integrations=false", body)
    assert answer.status_code == 401, answer.content
    assert erasure.verify_user_erased("alice") == {}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/users/fcm-token", {"fcm_token": "t", "time_zone": "UTC"}),
        ("POST", "/v1/users/store-recording-permission?value=true", None),
    ],
)
def test_the_users_document_does_not_come_back_with_a_late_request(
    method: str, path: str, body: Any, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    first(monkeypatch, users_api, "body" if body else "query", lambda: erasure.erase_user("alice"))
    assert alice.send(method, path, body).status_code == 401
    assert erasure.verify_user_erased("alice") == {}


def test_a_person_who_is_named_while_the_account_is_erased_is_refused(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    first(monkeypatch, people_api.people, "clean_name", lambda: erasure.erase_user("alice"))
    assert alice.send("POST", "/v1/users/people", {"name": "Anna"}).status_code == 401
    assert erasure.verify_user_erased("alice") == {}


@pytest.mark.parametrize("gone", ["account", "memory"])
def test_an_upload_that_is_checked_while_its_memory_is_erased_is_refused(
    gone: str, alice: Caller, make_memory: Remember, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = make_memory("alice")

    def erase() -> None:
        erasure.erase_user("alice") if gone == "account" else erasure.erase_memory("alice", memory.id)

    first(monkeypatch, postprocessing, "check", erase)
    answer = alice.upload(f"/v1/memories/{memory.id}/post-processing", tone(11))
    assert answer.status_code == (401 if gone == "account" else 404)
    assert not PostProcessingRun.objects.filter(kind="postprocess").exists()
    assert live_audio() == 0


def test_an_upload_that_is_stored_while_its_memory_is_erased_is_removed(
    alice: Caller, make_memory: Remember, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = make_memory("alice")
    first(monkeypatch, postprocessing, "_start", lambda: erasure.erase_memory("alice", memory.id))
    assert alice.upload(f"/v1/memories/{memory.id}/post-processing", tone(11)).status_code == 404
    assert not PostProcessingRun.objects.filter(kind="postprocess").exists()
    assert live_audio() == 0


class Remote:
    """An embedding service."""

    name = "far-away"
    dimension = 27
    remote = True
    price = 0.02

    def embed(self, texts: list[str], *, query: bool = False) -> list[list[float]]:
        erasure.erase_user("alice")
        return [[0.0] * 27 for _ in texts]


def test_what_a_search_cost_names_nobody_who_was_erased_meanwhile(
    alice: Caller, make_memory: Remember, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_memory("alice")
    real = search.providers.one
    monkeypatch.setattr(search.providers, "one", lambda port: Remote() if port == "embedder" else real(port))
    alice.send("POST", "/v1/memories/search", {"query": "hello"})
    assert VendorCall.objects.filter(vendor="far-away", uid="").count() == 1, "the bill stays"
    assert erasure.verify_user_erased("alice") == {}
