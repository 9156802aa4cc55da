"""Whether a token was revoked is asked over the network only now and then; who is signed out here is out at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from omi.accounts import identity, revocation, tokens

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def asked(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """With each look at a token: whether the SDK was told to ask Google."""
    from firebase_admin import auth

    settings.OMI_AUTH, settings.GOOGLE_CLOUD_PROJECT = "firebase", "demo-revocation"
    monkeypatch.setattr("omi.accounts.identity.firebase_app", lambda: None)
    told: list[bool] = []

    def verify(token: str, *, app: Any, check_revoked: bool, clock_skew_seconds: int) -> dict[str, Any]:
        told.append(check_revoked)
        if check_revoked and token == "revoked":
            raise auth.RevokedIdTokenError("revoked")
        return {"uid": "ana", "auth_time": time.time() - 5}

    monkeypatch.setattr(auth, "verify_id_token", verify)
    return told


def test_google_is_asked_once_for_many_requests(asked: list[bool]) -> None:
    for _ in range(20):
        identity.verify_token("token")
    assert asked == [True] + [False] * 19


def test_each_token_is_asked_for_by_itself(asked: list[bool]) -> None:
    identity.verify_token("token")
    identity.verify_token("another")
    assert asked == [True, True]


def test_what_was_refused_is_asked_again(asked: list[bool]) -> None:
    for _ in range(2):
        with pytest.raises(identity.InvalidToken):
            identity.verify_token("revoked")
    assert asked == [True, True]


def test_without_a_time_it_is_asked_each_time(asked: list[bool], settings: Any) -> None:
    settings.OMI_TOKEN_CACHE_SECONDS = 0
    for _ in range(3):
        identity.verify_token("token")
    assert asked == [True] * 3


def test_without_the_cache_it_is_asked_each_time(asked: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise ConnectionError("no Redis")

    monkeypatch.setattr(identity.cache, "get", down)
    monkeypatch.setattr(identity.cache, "set", down)
    for _ in range(2):
        assert identity.verify_token("token").uid == "ana"
    assert asked == [True, True]


def test_who_is_signed_out_here_is_out_at_once(asked: list[bool]) -> None:
    identity.verify_token("token")
    heard: list[str] = []
    revocation.signed_out.connect(lambda uid, **_: heard.append(uid), weak=False, dispatch_uid="test")
    revocation.sign_out("ana", reason="a lost phone")
    revocation.signed_out.disconnect(dispatch_uid="test")
    with pytest.raises(identity.InvalidToken):
        identity.verify_token("token")
    assert heard == ["ana"]


def test_the_command_ends_old_sign_ins_and_lets_new_ones_in() -> None:
    old = Client(headers={"Authorization": f"Bearer {tokens.mint('ana')}"})
    other = Client(headers={"Authorization": f"Bearer {tokens.mint('ben')}"})
    assert old.get("/v1/memories").status_code == 200
    call_command("signout", "ana")
    assert old.get("/v1/memories").status_code == 401
    assert other.get("/v1/memories").status_code == 200
    new = Client(headers={"Authorization": f"Bearer {tokens.mint('ana')}"})
    assert new.get("/v1/memories").status_code == 200
    assert not revocation.is_signed_out("ana", time.time())
    with pytest.raises(CommandError):
        call_command("signout", "a/b")
