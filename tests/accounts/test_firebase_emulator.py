"""Sign-in against Google's own Auth emulator: ID tokens, revocation, disabled users, an outage.

It comes with firebase-tools (npm, 312 MB), which nothing else here needs: `npm install firebase-tools@15.34.2` in a
folder of its own, and TESTS_FIREBASE_TOOLS=FOLDER, run these tests. Without it ``test_firebase_lookup`` holds the same
rules against a stand-in. The emulator signs no tokens and checks no age: ``test_firebase_signature`` does that.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from django.test import Client

from omi.accounts import identity
from tests.support.processes import Unavailable, free_port, running

pytestmark = [pytest.mark.django_db, pytest.mark.extra, pytest.mark.process]
PROJECT = "demo-omi"


def program() -> str | None:
    folder = os.environ.get("TESTS_FIREBASE_TOOLS")
    return shutil.which("firebase", path=f"{folder}/node_modules/.bin") if folder else shutil.which("firebase")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ExitStack]]:
    """Address, and a stack whose closing stops the emulator."""
    firebase = program()
    if firebase is None:
        pytest.skip("firebase-tools is not here: npm install firebase-tools@15.34.2, TESTS_FIREBASE_TOOLS=FOLDER")
    folder = tmp_path_factory.mktemp("auth")
    port = free_port()
    parts = {name: {"host": "127.0.0.1", "port": free_port()} for name in ("hub", "logging")}
    config = {"auth": {"host": "127.0.0.1", "port": port}, **parts, "ui": {"enabled": False}}
    file = folder / "firebase.json"
    file.write_text(json.dumps({"emulators": config}))
    command = [firebase, "emulators:start", "--only", "auth", "--project", PROJECT, "--config", str(file)]
    environment = {"CI": "1", "HOME": str(folder)}
    with ExitStack() as stack:
        try:
            started = running(command, ready=lambda: _ready(port), log=folder / "log", seconds=120, env=environment)
            stack.enter_context(started)
        except Unavailable as problem:
            pytest.skip(f"the Auth emulator does not start: {problem}")
        yield f"127.0.0.1:{port}", stack


@pytest.fixture(autouse=True)
def firebase(emulator: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import firebase_admin

    from omi.stores.google import firebase_app

    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", emulator[0])
    settings.OMI_AUTH, settings.GOOGLE_CLOUD_PROJECT = "firebase", PROJECT
    yield
    firebase_admin.delete_app(firebase_app())


def sign_up(address: str) -> tuple[str, str]:
    """A new anonymous user of the app: uid and ID token, as the app's own SDK gets them."""
    url = f"http://{address}/identitytoolkit.googleapis.com/v1/accounts:signUp?key=any"
    answer = httpx.post(url, json={"returnSecureToken": True}, timeout=20)
    answer.raise_for_status()
    told = answer.json()
    return told["localId"], told["idToken"]


def admin() -> Any:
    from firebase_admin import auth

    return auth


def app() -> Any:
    from omi.stores.google import firebase_app

    return firebase_app()


def status(token: str) -> int:
    return int(Client(headers={"Authorization": f"Bearer {token}"}).get("/v1/memories").status_code)


def test_a_token_of_the_apps_sign_in_opens_the_api(emulator: Any) -> None:
    uid, token = sign_up(emulator[0])
    assert identity.verify_token(token).uid == uid
    assert status(token) == 200
    assert status("x" + token) == 401


def test_a_disabled_user_is_refused_and_let_in_again_when_enabled(emulator: Any) -> None:
    uid, token = sign_up(emulator[0])
    admin().update_user(uid, disabled=True, app=app())
    assert status(token) == 401
    admin().update_user(uid, disabled=False, app=app())
    assert status(token) == 200


def test_a_revoked_token_is_refused(emulator: Any) -> None:
    uid, token = sign_up(emulator[0])
    time.sleep(1.1)  # both times are whole seconds
    admin().revoke_refresh_tokens(uid, app=app())
    assert status(token) == 401


def test_a_user_who_is_gone_is_refused(emulator: Any) -> None:
    uid, token = sign_up(emulator[0])
    admin().delete_user(uid, app=app())
    assert status(token) == 401


def test_after_the_account_was_erased_only_a_new_sign_in_is_taken(emulator: Any) -> None:
    from memories.privacy import erasure

    uid, token = sign_up(emulator[0])
    erasure.erase_user(uid)
    assert status(token) == 401
    assert status(sign_up(emulator[0])[1]) == 200


def test_zz_an_emulator_that_is_away_signs_nobody_out(emulator: Any) -> None:
    """The last of this module: it stops the emulator. 503, never 401."""
    _, token = sign_up(emulator[0])
    emulator[1].close()
    assert status(token) == 503


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return bool(json.loads(answer.read())["authEmulator"]["ready"])
    except (OSError, ValueError):
        return False
