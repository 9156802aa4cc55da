"""Nobody can sign in, and somebody hears of it: what becomes of tokens is counted at every door, and names nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import signing
from django.test import Client
from structlog.testing import capture_logs

from omi.accounts import identity, sign_ins, tokens
from omi.accounts.models import SignOut
from omi.core import clock
from omi.serving.guard import Guarded
from transcription.listen import authentication

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nobody_was_refused() -> Iterator[None]:
    sign_ins._refused.clear()
    yield
    sign_ins._refused.clear()


def counted() -> dict[str, float]:
    return {name: sign_ins.SIGN_INS.labels(name)._value.get() for name in sign_ins.OUTCOMES}


def grown(before: dict[str, float]) -> dict[str, float]:
    return {name: value - before[name] for name, value in counted().items() if value != before[name]}


def shown() -> float:
    return sign_ins.TOKENS_REFUSED._child_samples()[0].value


def refused(token: str) -> None:
    with pytest.raises((identity.InvalidToken, identity.IdentityUnavailable)):
        identity.verify_token(token)


def test_every_outcome_is_a_series_before_it_happens() -> None:
    told = Client().get("/metrics").content.decode()
    assert all(f'omi_sign_ins_total{{outcome="{name}"}}' in told for name in sign_ins.OUTCOMES)
    assert "\nomi_sign_in_tokens_refused 0.0" in told


def test_a_token_is_counted_by_what_became_of_it(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = counted()
    identity.verify_token(tokens.mint("ana"))
    refused(signing.dumps({"uid": "ana", "iat": 1, "exp": time.time() + 60}, salt=tokens.SALT, key="another key"))
    refused(signing.dumps({"uid": "ana", "iat": 1, "exp": time.time() - 1}, salt=tokens.SALT))
    old = tokens.mint("ana")
    SignOut.objects.create(uid="ana", at=clock.now())
    refused(old)
    settings.OMI_AUTH = "firebase"

    def away(token: str) -> Any:
        raise identity.IdentityUnavailable from ConnectionError("eve@example.org is not to be logged")

    monkeypatch.setattr(identity, "_firebase", away)
    with capture_logs() as logs:
        refused("some.firebase.token")
    assert grown(before) == dict.fromkeys(sign_ins.OUTCOMES, 1.0)
    assert logs == [{"event": "identity_unavailable", "error": "ConnectionError", "log_level": "warning"}]


def test_who_has_no_token_does_not_try_to_sign_in() -> None:
    """A crawler of the pages has an empty cookie."""
    before = counted()
    refused("")
    assert Client().get("/app").status_code in (301, 302)
    assert Client().get("/v1/memories").status_code == 401
    assert (grown(before), shown()) == ({}, 0)


@pytest.mark.parametrize("door", ["api", "mcp", "page", "socket", "body"])
def test_a_door_counts_whom_it_refuses(door: str) -> None:
    """Large bodies (``guard``) are answered past Django, and past what counts its answers."""
    before = counted()
    if door == "api":
        assert Client(headers={"Authorization": "Bearer bad"}).get("/v1/memories").status_code == 401
    elif door == "mcp":
        assert Client(headers={"Authorization": "Bearer bad"}).post("/mcp").status_code == 401
    elif door == "page":
        client = Client()
        client.cookies["omi_app"] = "bad"
        client.get("/app")
    elif door == "socket":
        with pytest.raises(authentication.Refused):
            authentication._admit("bad")
    else:
        body = Guarded()
        body.channel = None  # the client has left
        asyncio.run(body._judge("bad"))
        assert body._denied
    assert grown(before) == {"invalid": 1.0}
    assert shown() == 1


def test_several_users_are_told_from_one_who_comes_back() -> None:
    for _ in range(20):
        refused("the same old token")
    assert shown() == 1
    for number in range(4):
        refused(f"of user {number}")
    assert shown() == 5


def test_whoever_is_let_in_takes_the_figure_back() -> None:
    for number in range(4):
        refused(f"of user {number}")
    identity.verify_token(tokens.mint("ana"))
    assert shown() == 0


def test_a_token_is_forgotten_after_half_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr(sign_ins, "time", SimpleNamespace(monotonic=lambda: now[0]))
    refused("first")
    now[0] += 1000
    refused("second")
    now[0] += 1000
    assert shown() == 1


def test_somebody_who_tries_tokens_fills_no_memory() -> None:
    for number in range(sign_ins.MOST + 50):
        sign_ins.refused("invalid", f"guess {number}")
    assert shown() == sign_ins.MOST
    assert all(len(digest) == 16 for digest in sign_ins._refused)


def test_a_changed_secret_key_is_seen(settings: Any) -> None:
    """Six users come back after a restart with another key."""
    theirs = [tokens.mint(f"user-{number}") for number in range(6)]
    settings.SECRET_KEY = "another key, of as many characters as Django's check of it asks for"
    for token in theirs * 3:
        refused(token)
    assert shown() == 6
