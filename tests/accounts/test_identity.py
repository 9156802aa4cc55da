"""Who somebody is: development tokens, Firebase tokens, and what happens when it cannot be known."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core import signing
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIRequestFactory

from memories.api.errors import exception_handler
from omi.accounts import identity, tokens
from omi.accounts.authentication import BearerAuthentication
from omi.accounts.models import ErasedAccount, uid_digest
from omi.stores.documents.base import InvalidPath

pytestmark = pytest.mark.django_db
PROJECT = "demo-identity"


# --- development tokens


def test_a_minted_token_names_its_user() -> None:
    who = identity.verify_token(tokens.mint("ana"))
    assert (who.uid, who.pk, who.is_authenticated) == ("ana", "ana", True)


@pytest.mark.parametrize("uid", ["a/b", "", "..", "a\x00", "__x__", "x" * 2000])
def test_no_token_is_minted_for_what_cannot_be_a_user(uid: str) -> None:
    with pytest.raises(InvalidPath):
        tokens.mint(uid)


@given(st.text(max_size=300))
def test_arbitrary_text_is_no_token(text: str) -> None:
    with pytest.raises(identity.InvalidToken):
        identity.verify_token(text)


def test_a_token_of_another_key_purpose_or_time_is_refused(settings: Any) -> None:
    claims = {"uid": "ana", "iat": time.time(), "exp": time.time() + 60}
    bad = [
        signing.dumps(claims, salt=tokens.SALT, key="another key"),
        signing.dumps(claims, salt="password reset"),
        signing.dumps({**claims, "exp": time.time() - 1}, salt=tokens.SALT),
        signing.dumps({"uid": "ana"}, salt=tokens.SALT),
        signing.dumps([1], salt=tokens.SALT),
        signing.dumps({**claims, "uid": "a/b"}, salt=tokens.SALT),
        signing.dumps({**claims, "uid": "x" * 129}, salt=tokens.SALT),
        tokens.mint("ana")[:-1],
        "x" * 9000,
        unsigned({"sub": "ana"}),
    ]
    for token in bad:
        with pytest.raises(identity.InvalidToken):
            identity.verify_token(token)


def test_a_token_from_before_the_account_was_erased_is_refused_and_a_new_one_taken() -> None:
    old = tokens.mint("ana")
    ErasedAccount.objects.create(digest=uid_digest("ana"), erased_at=datetime.now(UTC))
    with pytest.raises(identity.InvalidToken):
        identity.verify_token(old)
    time.sleep(0.01)
    assert identity.verify_token(tokens.mint("ana")).uid == "ana"
    assert identity.verify_token(tokens.mint("ben")).uid == "ben"


# --- the header


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic abc", "bearer x y", "Token x", "Bearer null", "secret-admin-key-ana"]
)
def test_a_bad_header_is_a_401_in_the_originals_words(header: str) -> None:
    """In the original no header was a 500, and an admin key in it a master key."""
    request = APIRequestFactory().get("/", HTTP_AUTHORIZATION=header)
    with pytest.raises(identity.InvalidToken) as caught:
        BearerAuthentication().authenticate(request)
    answer = exception_handler(caught.value, {})
    assert answer is not None
    assert (answer.status_code, answer.data) == (401, {"detail": "Invalid authorization token"})
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_no_header_is_nobody() -> None:
    assert BearerAuthentication().authenticate(APIRequestFactory().get("/")) is None


def test_what_cannot_be_known_now_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(token: str) -> Any:
        raise identity.IdentityUnavailable("down")

    monkeypatch.setattr("omi.accounts.authentication.verify_token", down)
    request = APIRequestFactory().get("/", HTTP_AUTHORIZATION="Bearer x")
    with pytest.raises(identity.IdentityUnavailable) as caught:
        BearerAuthentication().authenticate(request)
    answer = exception_handler(caught.value, {})
    assert answer is not None
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


# --- Firebase


def unsigned(claims: dict[str, Any]) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


@pytest.fixture
def firebase(settings: Any) -> None:
    settings.OMI_AUTH = "firebase"
    settings.GOOGLE_CLOUD_PROJECT = PROJECT


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": f"https://securetoken.google.com/{PROJECT}", "aud": PROJECT, "sub": "ana", "user_id": "ana", "iat": now,
        "exp": now + 3600, "auth_time": now, **more,
    }  # fmt: skip


@pytest.mark.usefixtures("firebase")
def test_an_unsigned_token_is_refused_without_the_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIREBASE_AUTH_EMULATOR_HOST", raising=False)
    monkeypatch.setattr("omi.stores.google.emulated", lambda: True)  # no look-up of credentials on this machine
    for token in (unsigned(claims()), "a.b.c", "no token", tokens.mint("ana")):
        with pytest.raises(identity.InvalidToken):
            identity.verify_token(token)


@pytest.mark.usefixtures("firebase")
@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ("CertificateFetchError", identity.IdentityUnavailable),
        ("ExpiredIdTokenError", identity.InvalidToken),
        ("RevokedIdTokenError", identity.InvalidToken),
        ("InvalidIdTokenError", identity.InvalidToken),
        ("UserDisabledError", identity.InvalidToken),
        ("UserNotFoundError", identity.InvalidToken),
        ("UnavailableError", identity.IdentityUnavailable),
        ("UnknownError", identity.IdentityUnavailable),
        ("TransportError", identity.IdentityUnavailable),
        ("ConnectionError", identity.IdentityUnavailable),
    ],
)
def test_only_a_bad_token_is_a_401(monkeypatch: pytest.MonkeyPatch, raised: str, expected: type[Exception]) -> None:
    """A certificate that cannot be fetched must sign nobody out."""
    import requests
    from firebase_admin import auth
    from firebase_admin import exceptions as firebase_errors
    from google.auth.exceptions import TransportError

    makers: dict[str, Callable[[], Exception]] = {
        "CertificateFetchError": lambda: auth.CertificateFetchError("m", None),
        "ExpiredIdTokenError": lambda: auth.ExpiredIdTokenError("m", None),
        "RevokedIdTokenError": lambda: auth.RevokedIdTokenError("m"),
        "InvalidIdTokenError": lambda: auth.InvalidIdTokenError("m"),
        "UserDisabledError": lambda: auth.UserDisabledError("m"),
        "UserNotFoundError": lambda: auth.UserNotFoundError("m"),
        "UnavailableError": lambda: firebase_errors.UnavailableError("m"),
        "UnknownError": lambda: firebase_errors.UnknownError("m"),
        "TransportError": lambda: TransportError("m"),
        "ConnectionError": lambda: requests.ConnectionError("m"),
    }
    asked: list[dict[str, Any]] = []

    def verify(token: str, **options: Any) -> Any:
        asked.append(options)
        raise makers[raised]()

    monkeypatch.setattr("firebase_admin.auth.verify_id_token", verify)
    monkeypatch.setattr("omi.accounts.identity.firebase_app", lambda: object())
    with pytest.raises(expected):
        identity.verify_token("some.token.here")
    assert asked[0]["check_revoked"] is True


@pytest.mark.usefixtures("firebase")
def test_a_good_token_names_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {**claims(), "uid": "ana", "email": "ana@example.org"}
    monkeypatch.setattr("firebase_admin.auth.verify_id_token", lambda token, **options: told)
    monkeypatch.setattr("omi.accounts.identity.firebase_app", lambda: object())
    who = identity.verify_token("some.token.here")
    assert (who.uid, who.email) == ("ana", "ana@example.org")


def test_another_projects_token_is_refused(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator's own path, which checks no signature, still checks whose project a token is for."""
    from firebase_admin import auth

    from omi.stores.google import firebase_app

    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", "127.0.0.1:9")
    settings.GOOGLE_CLOUD_PROJECT = PROJECT
    app = firebase_app()
    assert auth.verify_id_token(unsigned(claims()), app=app)["uid"] == "ana"
    for wrong in ({"aud": "other"}, {"iss": "https://securetoken.google.com/other"}, {"sub": ""}, {"sub": "x" * 129}):
        with pytest.raises(auth.InvalidIdTokenError):
            auth.verify_id_token(unsigned(claims(**wrong)), app=app)
