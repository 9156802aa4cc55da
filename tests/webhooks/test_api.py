"""``/v1/webhooks``: the owner's, nobody else's, and within bounds."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from memories import upkeep
from memories.models import Webhook, WebhookDelivery
from memories.privacy import erasure, export
from memories.user_events import log as events
from memories.webhooks import delivery, hooks, rules
from omi.accounts.erased import AccountErased
from tests.api.conftest import Caller, alice, bob, make_memory
from tests.webhooks.conftest import Receiver

__all__ = ["alice", "bob", "make_memory"]

W = "/v1/webhooks"
URL = "https://example.com/hook"


@pytest.fixture
def hook(alice: Caller) -> dict[str, Any]:
    """A webhook of Alice's, with its secret."""
    answer = alice.send("POST", W, {"url": URL})
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_the_secret_is_shown_once(alice: Caller, hook: dict[str, Any]) -> None:
    assert hook["secret"].startswith("whsec_")
    assert (hook["kinds"], hook["active"], hook["off_reason"]) == (list(rules.NAMES), True, None)
    path = f"{W}/{hook['id']}"
    changed = alice.send("PATCH", path, {"kinds": ["memory.created", "memory.created"]})
    assert changed.json()["kinds"] == ["memory.created"]
    for answer in (alice.get(W), alice.get(path), changed):
        assert answer.status_code == 200
        assert 'secret"' not in answer.content.decode()
    rotated = alice.send("POST", f"{path}/rotate")
    assert rotated.json()["secret"] not in ("", hook["secret"])
    assert rotated.json()["previous_secret_until"]
    assert rotated.headers["Cache-Control"] == "no-store"
    assert hook["secret"] not in Webhook.objects.get().secret


def calls(identity: str) -> list[tuple[str, str, Any]]:
    """Every call that names a webhook."""
    path = f"{W}/{identity}"
    return [
        ("GET", path, None),
        ("PATCH", path, {"active": False}),
        ("POST", f"{path}/rotate", None),
        ("POST", f"{path}/test", None),
        ("GET", f"{path}/deliveries", None),
        ("POST", f"{path}/deliveries/1/resend", None),
        ("DELETE", path, None),
    ]


def test_a_stranger_gets_404_and_changes_nothing(alice: Caller, bob: Caller, hook: dict[str, Any]) -> None:
    assert alice.send("POST", f"{W}/{hook['id']}/test").status_code == 200
    WebhookDelivery.objects.update(state="failed")
    before = (Webhook.objects.values().get(), WebhookDelivery.objects.values().get())
    for method, path, body in calls(hook["id"]):
        answer = bob.send(method, path, body)
        assert (answer.status_code, answer.json()) == (404, {"detail": "Webhook not found"}), path
    assert bob.get(W).json() == []
    assert (Webhook.objects.values().get(), WebhookDelivery.objects.values().get()) == before
    assert alice.get(f"{W}/unknown").status_code == 404
    assert alice.send("POST", f"{W}/{hook['id']}/deliveries/{10**30}/resend").status_code == 404


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, ["body", "url"]),
        ({"url": 1}, ["body", "url"]),
        ({"url": "http://example.com"}, ["body", "url"]),
        ({"url": "https://10.0.0.1/"}, ["body", "url"]),
        ({"url": "https://u:p@example.com/"}, ["body", "url"]),
        ({"url": "https://example.com:25/"}, ["body", "url"]),
        ({"url": "https://example.com/" + "x" * 2000}, ["body", "url"]),
        ({"url": "https://example.com/\0"}, ["body"]),
        ({"url": "https://example.com/\n"}, ["body", "url"]),
        ({"url": URL, "kinds": ["recap"]}, ["body", "kinds", 0]),
        ({"url": URL, "kinds": []}, ["body", "kinds"]),
        ({"url": URL, "kinds": ["memory.created"] * 21}, ["body", "kinds"]),
        ({"url": URL, "kinds": "memory.created"}, ["body", "kinds"]),
        ({"url": URL, "secret": "mine"}, ["body", "secret"]),
    ],
)
def test_what_does_not_fit_is_422_with_its_place(alice: Caller, body: Any, place: list[str]) -> None:
    answer = alice.send("POST", W, body)
    assert answer.status_code == 422, answer.content
    assert answer.json()["detail"][0]["loc"] == place
    assert Webhook.objects.count() == 0


def test_a_change_is_checked_like_a_creation(alice: Caller, hook: dict[str, Any]) -> None:
    path = f"{W}/{hook['id']}"
    for body in ({"url": "https://127.0.0.1/"}, {"kinds": ["x"]}, {"active": "yes"}, {"uid": "bob"}):
        assert alice.send("PATCH", path, body).status_code == 422, body
    other = alice.send("POST", W, {"url": f"{URL}/2"}).json()["id"]
    assert alice.send("PATCH", f"{W}/{other}", {"url": URL}).status_code == 409
    assert alice.send("PATCH", f"{W}/{other}", {"url": f"{URL}/2", "active": False}).json()["off_reason"] == "user"
    assert alice.send("POST", f"{W}/{other}/test").status_code == 409


def test_a_user_has_so_many_and_one_for_an_address(alice: Caller, bob: Caller, hook: dict[str, Any]) -> None:
    assert alice.send("POST", W, {"url": URL}).status_code == 409
    for number in range(rules.MOST_PER_USER - 1):
        assert alice.send("POST", W, {"url": f"{URL}/{number}"}).status_code == 200
    assert alice.send("POST", W, {"url": f"{URL}/more"}).status_code == 409
    assert bob.send("POST", W, {"url": URL}).status_code == 200
    assert len(alice.get(W).json()) == rules.MOST_PER_USER


def test_the_delivery_log_has_pages_that_neither_lose_nor_repeat(alice: Caller, hook: dict[str, Any]) -> None:
    path = f"{W}/{hook['id']}"
    for _ in range(5):
        assert alice.send("POST", f"{path}/test").status_code == 200
    first = alice.get(f"{path}/deliveries?limit=2").json()
    alice.send("POST", f"{path}/test")  # comes while the pages are read
    second = alice.get(f"{path}/deliveries?limit=9&before={first[-1]['number']}").json()
    assert [item["number"] for item in first + second] == [5, 4, 3, 2, 1]
    for bad in ("limit=0", "limit=201", "before=0", "before=x", f"before={10**30}"):
        assert alice.get(f"{path}/deliveries?{bad}").status_code == 422, bad


def test_a_delivery_that_waits_is_not_sent_twice_and_one_that_ended_is(alice: Caller, receiver: Receiver) -> None:
    path = f"{W}/{alice.send('POST', W, {'url': receiver.url}).json()['id']}"
    tested = alice.send("POST", f"{path}/test").json()
    assert (tested["number"], tested["kind"], tested["state"], tested["memory_id"]) == (
        1,
        "webhook.test",
        "waiting",
        None,
    )
    assert alice.send("POST", f"{path}/deliveries/1/resend").status_code == 409
    upkeep.webhooks()
    told = alice.get(f"{path}/deliveries").json()[0]
    assert (told["state"], told["status_code"], told["error"], told["next_at"]) == ("delivered", 204, None, None)
    assert alice.send("POST", f"{path}/deliveries/1/resend").json()["state"] == "waiting"
    upkeep.webhooks()
    assert len(receiver.got) == 2
    assert receiver.got[0][0]["webhook-id"] == receiver.got[1][0]["webhook-id"] == tested["message_id"]
    assert alice.delete(path).status_code == 204
    assert WebhookDelivery.objects.count() == 0


def test_an_erased_account_leaves_none_and_makes_none(alice: Caller, bob: Caller, hook: dict[str, Any]) -> None:
    alice.send("POST", f"{W}/{hook['id']}/test")
    bob.send("POST", W, {"url": URL})
    assert erasure.verify_user_erased("alice")["webhooks"] == 2
    with pytest.raises(CommandError):
        call_command("erase_user", "alice", "--verify")
    call_command("erase_user", "alice", "--yes")
    call_command("erase_user", "alice", "--verify")
    assert list(Webhook.objects.values_list("uid", flat=True)) == ["bob"]

    def erased() -> None:
        raise AccountErased

    with pytest.raises(AccountErased):
        hooks.create("alice", URL, ["memory.created"], fence=erased)
    call_command("erase_user", "alice", "--verify")


def test_an_erased_memory_is_not_told_of(alice: Caller, hook: dict[str, Any], make_memory: Any) -> None:
    memory = make_memory("alice")
    for kind in (events.MEMORY_CREATED, events.MEMORY_UPDATED):
        events.append("alice", kind, {"memory_id": memory.id})
    assert delivery.read_on() == 2
    receipt = erasure.erase_memory("alice", memory.id, now=True)
    assert receipt.erased["webhooks"] == 2
    assert WebhookDelivery.objects.count() == 0


def test_the_export_holds_webhooks_without_secrets(alice: Caller, hook: dict[str, Any]) -> None:
    alice.send("POST", f"{W}/{hook['id']}/test")
    archive = zipfile.ZipFile(BytesIO(export.export_user("alice").read()))
    told = json.loads(archive.read("webhooks.json"))
    assert [(item["url"], len(item["deliveries"])) for item in told] == [(URL, 1)]
    assert not [key for key in told[0] if key in ("secret", "previous_secret")]
    assert Webhook.objects.get().secret not in json.dumps(told)
