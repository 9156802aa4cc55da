"""The user document, push, and the checks of a deployment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from omi import checks
from omi.accounts import users
from omi.core.errors import ErrorKind, ProviderError
from omi.push import fcm as fcm_adapter
from omi.push import push
from omi.push.fcm import FcmPush
from omi.stores.documents import documents

pytestmark = pytest.mark.django_db


def test_a_user_without_a_document_has_the_defaults() -> None:
    """A fault of the original: a missing user document crashed permission read and write."""
    found = users.get_user("nobody")
    assert (found.store_recording_permission, found.fcm_tokens, found.account_deleted) == (False, [], False)
    assert users.find_user("nobody") is None
    users.set_recording_permission("nobody", True)
    assert users.get_user("nobody").store_recording_permission is True


def test_an_update_writes_only_what_is_named() -> None:
    documents().create("users/ana", {"fcm_token": "old", "their_field": 1, "name": None, "language": None})
    users.update_user("ana", time_zone="Europe/Berlin")
    assert documents().get("users/ana").data == {  # type: ignore[union-attr]
        "fcm_token": "old", "their_field": 1, "name": None, "language": None, "time_zone": "Europe/Berlin",
    }  # fmt: skip
    found = users.get_user("ana")
    assert (found.fcm_tokens, found.time_zone, found.name) == (["old"], "Europe/Berlin", "")


def test_tokens_are_kept_once_newest_last_and_bounded() -> None:
    for number in range(users.MAX_TOKENS + 3):
        users.add_fcm_token("ana", f"t{number}")
    users.add_fcm_token("ana", "t10", "UTC")
    found = users.get_user("ana").fcm_tokens
    assert len(found) == users.MAX_TOKENS
    assert found[-1] == "t10"
    assert found.count("t10") == 1


# --- push


@pytest.fixture(scope="module")
def fcm_server() -> Iterator[Any]:
    from demo.vendors.server import VendorServer

    with VendorServer(vendors=("fcm",)) as server:
        yield server


@pytest.fixture
def fcm(fcm_server: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    fcm_server.reset()
    settings.FCM_URL = fcm_server.urls["FCM_URL"]
    settings.GOOGLE_CLOUD_PROJECT = "demo-push"
    settings.PROVIDERS = {**settings.PROVIDERS, "push": {"BACKEND": "omi.push.fcm.FcmPush"}}
    monkeypatch.setenv("FCM_TOKEN", "sim-key")
    yield fcm_server
    fcm_server.reset()


def test_a_push_reaches_every_device_and_forgets_those_that_are_gone(fcm: Any) -> None:
    users.add_fcm_token("ana", "gone")
    users.add_fcm_token("ana", "here")
    fcm.faults("fcm", {"kind": "refuse", "status": 404})
    assert push("ana", "Omi", "Hello", {"memory_id": "m"}) == 1
    assert users.get_user("ana").fcm_tokens == ["here"]
    (message,) = fcm.state.store["fcm"]["messages"]
    assert (message["token"], message["notification"]["body"], message["data"]) == ("here", "Hello", {"memory_id": "m"})


def test_a_device_that_is_gone_is_forgotten_also_when_another_one_fails(fcm: Any) -> None:
    users.add_fcm_token("ana", "gone")
    users.add_fcm_token("ana", "busy")
    fcm.faults("fcm", {"kind": "refuse", "status": 404}, {"kind": "refuse", "status": 503})
    with pytest.raises(ProviderError):
        push("ana", "Omi", "Hello")
    assert users.get_user("ana").fcm_tokens == ["busy"]


def test_nobody_is_pushed_to_without_a_device_or_an_account(fcm: Any) -> None:
    assert push("nobody", "t", "b") == 0
    users.add_fcm_token("ana", "x")
    users.update_user("ana", account_deleted=True)
    assert push("ana", "t", "b") == 0
    assert fcm.log("fcm") == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ErrorKind.PERMANENT), (401, ErrorKind.PERMANENT), (403, ErrorKind.PERMANENT), (429, ErrorKind.TRANSIENT),
     (500, ErrorKind.TRANSIENT), (503, ErrorKind.TRANSIENT)],
)  # fmt: skip
def test_errors_of_push_are_ours_and_nothing_is_retried(fcm: Any, status: int, kind: ErrorKind) -> None:
    fcm.faults("fcm", {"kind": "refuse", "status": status})
    failure = FcmPush().send(["x"], "t", "b", {}).failure
    assert failure is not None
    assert failure.kind is kind
    assert len(fcm.log("fcm", "send")) <= 1


@pytest.mark.parametrize(("said", "waits"), [("7", 7.0), ("²", None), ("9" * 400, 86_400.0), ("soon", None)])
def test_whatever_a_push_service_says_of_waiting_its_refusal_is_ours(said: str, waits: float | None) -> None:
    """``float("²")`` raises although ``"²".isdigit()``."""
    answer = httpx.Response(503, headers={"Retry-After": said.encode()}, json={"error": {"status": "x" * 5000}})
    error = fcm_adapter._error(answer)
    assert error.kind is ErrorKind.TRANSIENT
    assert error.retry_after == waits
    assert len(error.code) < 100


def test_a_push_service_out_of_reach_is_transient(fcm: Any, settings: Any) -> None:
    settings.FCM_URL = "http://127.0.0.1:9"
    failure = FcmPush().send(["x"], "t", "b", {}).failure
    assert failure is not None
    assert failure.retryable


# --- checks


def ids(found: list[Any]) -> set[str]:
    return {item.id for item in found}


def test_production_refuses_the_folder_of_test_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write there kills workers."""
    with override_settings(OMI_ENVIRONMENT="production", SECRET_KEY="x" * 60, OMI_AUTH="firebase", DEBUG=False):
        monkeypatch.setenv("OMI_FAULTS_DIR", "faults")
        assert "omi.E005" in ids(checks.unsafe_in_production(None))
        with pytest.raises(ImproperlyConfigured, match="OMI_FAULTS_DIR"):
            checks.refuse_unsafe_production()


@pytest.mark.parametrize("name", ["FIRESTORE_EMULATOR_HOST", "FIREBASE_AUTH_EMULATOR_HOST", "STORAGE_EMULATOR_HOST"])
def test_production_refuses_to_start_with_an_emulator(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An emulated identity service takes unsigned and expired tokens."""
    for emulator in ("FIRESTORE_EMULATOR_HOST", "FIREBASE_AUTH_EMULATOR_HOST", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(emulator, raising=False)  # another test's emulator may still be running
    with override_settings(OMI_ENVIRONMENT="production", SECRET_KEY="x" * 60, OMI_AUTH="firebase", DEBUG=False):
        checks.refuse_unsafe_production()
        monkeypatch.setenv(name, "127.0.0.1:9")
        assert "omi.E002" in ids(checks.unsafe_in_production(None))
        with pytest.raises(ImproperlyConfigured, match=name):
            checks.refuse_unsafe_production()
    with override_settings(OMI_ENVIRONMENT="development"):
        checks.refuse_unsafe_production()


def test_production_refuses_a_generated_or_short_secret_and_debug(settings: Any) -> None:
    settings.OMI_ENVIRONMENT = "production"
    settings.OMI_AUTH = "firebase"
    for given, secret in ((False, "x" * 60), (True, "short")):
        settings.SECRET_KEY_GIVEN, settings.SECRET_KEY = given, secret
        with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
            checks.refuse_unsafe_production()
    settings.SECRET_KEY = "x" * 60
    checks.refuse_unsafe_production()
    settings.DEBUG = True
    with pytest.raises(ImproperlyConfigured, match="DEBUG"):
        checks.refuse_unsafe_production()


def test_production_refuses_webhooks_to_itself(settings: Any) -> None:
    settings.OMI_WEBHOOK_LOOPBACK = True
    assert "omi.E010" in ids(checks.unsafe_in_production(None))
    settings.OMI_WEBHOOK_LOOPBACK = False
    assert "omi.E010" not in ids(checks.unsafe_in_production(None))


def test_production_refuses_development_tokens(settings: Any) -> None:
    settings.OMI_ENVIRONMENT, settings.SECRET_KEY, settings.OMI_AUTH = "production", "x" * 60, "dev"
    assert "omi.E009" in ids(checks.unsafe_in_production(None))
    with pytest.raises(ImproperlyConfigured, match="OMI_AUTH"):
        checks.refuse_unsafe_production()


def test_a_chosen_vendor_without_its_key_is_named(settings: Any) -> None:
    assert checks.missing_keys(None) == []
    settings.OMI_PRERECORDED = ["local", "deepgram"]
    settings.OMI_VECTORS = "pinecone"
    told = " ".join(item.msg for item in checks.missing_keys(None))
    assert "OMI_PRERECORDED=deepgram needs DEEPGRAM_API_KEY" in told
    assert "OMI_VECTORS=pinecone needs PINECONE_INDEX_HOST" in told
