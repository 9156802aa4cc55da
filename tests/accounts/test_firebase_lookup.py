"""Revoked tokens and disabled users, as Google's own SDK finds them: against a small stand-in of its user look-up.

Google's own Auth emulator is tried in ``test_firebase_emulator`` where firebase-tools is there. With the emulator's
variable set the SDK takes unsigned tokens, and still asks the service for the user: that is what is tried.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.cache import cache

from omi.accounts import identity, sign_ins

pytestmark = pytest.mark.django_db
PROJECT = "demo-lookup"


class Users(BaseHTTPRequestHandler):
    """``accounts:lookup`` of the Identity Toolkit: what ``answers`` says, by uid."""

    status = 200
    users: dict[str, dict[str, Any]] = {}
    asked: list[str] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Users.asked.append(self.path)
        found = [{"localId": uid, **Users.users[uid]} for uid in body["localId"] if uid in Users.users]
        answer = json.dumps({"users": found} if Users.status == 200 else {"error": {"message": "BROKEN"}}).encode()
        self.send_response(Users.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Nothing on the terminal."""


@pytest.fixture(scope="module")
def toolkit() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Users)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def firebase(toolkit: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import firebase_admin

    from omi.stores.google import firebase_app

    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", toolkit)
    settings.OMI_AUTH, settings.GOOGLE_CLOUD_PROJECT = "firebase", PROJECT
    Users.status, Users.users, Users.asked = 200, {}, []
    yield
    firebase_admin.delete_app(firebase_app())


def token(uid: str, *, signed_in: float | None = None, **more: Any) -> str:
    now = int(time.time())
    moment = int(signed_in or now)
    claims = {
        "iss": f"https://securetoken.google.com/{PROJECT}", "aud": PROJECT, "sub": uid, "iat": moment,
        "auth_time": moment, "exp": now + 3600, **more,
    }  # fmt: skip
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def test_a_user_in_good_standing_is_taken_and_the_service_was_asked() -> None:
    Users.users = {"ana": {"validSince": "0", "email": "ana@example.org"}}
    assert identity.verify_token(token("ana")).uid == "ana"
    assert len(Users.asked) == 1


def test_a_disabled_user_is_refused() -> None:
    Users.users = {"ana": {"validSince": "0", "disabled": True}}
    with pytest.raises(identity.InvalidToken) as caught:
        identity.verify_token(token("ana"))
    assert caught.value.outcome == "ended"


def test_a_user_who_is_gone_is_refused() -> None:
    with pytest.raises(identity.InvalidToken) as caught:
        identity.verify_token(token("ana"))
    assert caught.value.outcome == "ended"


def test_a_token_from_before_the_revocation_is_refused_and_one_from_after_it_taken() -> None:
    now = time.time()
    Users.users = {"ana": {"validSince": str(int(now - 60))}}
    with pytest.raises(identity.InvalidToken) as caught:
        identity.verify_token(token("ana", signed_in=now - 120))
    assert caught.value.outcome == "ended"
    assert identity.verify_token(token("ana", signed_in=now - 30)).uid == "ana"


@pytest.mark.parametrize("wrong", [{"aud": "other"}, {"iss": "https://securetoken.google.com/other"}])
def test_another_projects_token_is_refused_before_anybody_is_asked(wrong: dict[str, Any]) -> None:
    Users.users = {"ana": {"validSince": "0"}}
    with pytest.raises(identity.InvalidToken) as caught:
        identity.verify_token(token("ana", **wrong))
    assert (caught.value.outcome, Users.asked) == ("invalid", [])


def test_a_look_up_that_fails_signs_nobody_out() -> None:
    """Whether the token was revoked cannot be known: 503, never 401."""
    Users.status = 502  # the SDK itself tries again after 500 and 503
    counted = sign_ins.SIGN_INS.labels("unavailable")._value.get()
    with pytest.raises(identity.IdentityUnavailable):
        identity.verify_token(token("ana"))
    assert sign_ins.SIGN_INS.labels("unavailable")._value.get() == counted + 1
