"""Events become signed messages, tried again until they arrive, and never for an account that is gone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from memories import upkeep
from memories.models import EventCounter, UserEvent, Webhook, WebhookDelivery
from memories.user_events import log as events
from memories.webhooks import delivery, hooks, reaching, rules, signing
from omi.accounts.erased import mark_erased
from tests.webhooks.conftest import Receiver

pytestmark = pytest.mark.django_db


def no_fence() -> None:
    """Nobody was erased."""


def made(receiver: Receiver, uid: str = "ana", kinds: list[str] | None = None) -> tuple[Webhook, str]:
    return hooks.create(uid, receiver.url, kinds or list(rules.NAMES), fence=no_fence)


def happened(memory_id: str = "m1", uid: str = "ana", kind: str = events.MEMORY_CREATED) -> int:
    return events.append(uid, kind, {"memory_id": memory_id, "processing_memory_id": "p", "message_id": "secret words"})


def now_due() -> None:
    """As if the pauses were over."""
    WebhookDelivery.objects.update(next_at=F("created_at") - timedelta(seconds=1))


def signed(secret: str, headers: dict[str, str], body: bytes) -> str:
    """As a receiver computes it: the specification, not our code."""
    key = base64.b64decode(secret.split("_", 1)[1])
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def test_the_signature_is_that_of_the_specifications_example() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    told = signing.signature([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert told == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_kept_encrypted_and_outlives_a_change_of_the_key(settings: Any) -> None:
    secret = signing.new_secret()
    stored = signing.sealed(secret)
    assert secret not in stored
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "k" * 50, [settings.SECRET_KEY]
    assert signing.opened(stored) == secret
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(signing.SecretLost):
        signing.opened(stored)


def test_what_happens_is_told_once_signed_and_without_words(receiver: Receiver) -> None:
    happened("before")
    _, secret = made(receiver)
    number = happened()
    happened(kind=events.MEMORY_CREATING)
    happened("m2", kind=events.POST_PROCESSING_SUCCESS)
    assert upkeep.webhooks() == 2
    assert upkeep.webhooks() == 0
    (headers, body), (_, second) = receiver.got
    said = json.loads(body)
    links = {"memory": "/v1/memories/m1"}
    assert said["data"] == {"event_number": number, "memory_id": "m1", "links": links}
    assert (said["type"], json.loads(second)["type"]) == ("memory.created", "memory.post_processed")
    assert datetime.fromisoformat(said["timestamp"]).tzinfo is not None
    assert headers["webhook-signature"] == signed(secret, headers, body)
    assert abs(int(headers["webhook-timestamp"]) - timezone.now().timestamp()) < 60
    assert (headers["content-type"], headers[":path"]) == ("application/json", "/hook?a=1")


def test_only_the_kinds_that_were_chosen_are_told(receiver: Receiver) -> None:
    hook, _ = made(receiver, kinds=["memory.updated"])
    happened()
    happened("m2", kind=events.MEMORY_UPDATED)
    upkeep.webhooks()
    assert [row.kind for row in hook.deliveries.all()] == ["memory.updated"]


def test_a_try_that_failed_is_made_again_with_the_same_id_and_body(receiver: Receiver) -> None:
    hook, _ = made(receiver)
    happened()
    receiver.status = 500
    assert upkeep.webhooks() == 0
    row = hook.deliveries.get()
    assert (row.state, row.tries, row.status_code, row.error) == ("waiting", 1, 500, "bad_status")
    assert timedelta(seconds=20) < row.next_at - timezone.now() < timedelta(seconds=40)
    assert upkeep.webhooks() == 0
    assert len(receiver.got) == 1, "its pause is not over"
    now_due()
    receiver.status = 200
    assert upkeep.webhooks() == 1
    (first, body), (second, again) = receiver.got
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    hook.refresh_from_db()
    assert (hook.failures, hook.failing_since) == (0, None)


def test_the_pauses_double_up_to_four_hours() -> None:
    middle = [rules.pause(tries).total_seconds() / (30 * 2 ** (tries - 1)) for tries in range(1, 9)]
    assert all(0.8 <= share <= 1.2 for share in middle)
    assert rules.pause(10_000) <= timedelta(hours=4.8)


def test_a_worker_that_dies_while_it_sends_leaves_the_message_to_the_next(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, _ = made(receiver)
    happened()

    def dies(*_: Any) -> int:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(reaching, "post", dies)
        with pytest.raises(SystemExit):
            upkeep.webhooks()
    assert hook.deliveries.get().state == "waiting"
    assert upkeep.webhooks() == 0, "the claim holds"
    now_due()
    assert upkeep.webhooks() == 1


def test_one_that_fails_holds_its_address_back_and_then_comes_last(receiver: Receiver) -> None:
    """A message that the receiver cannot take must not stand before those that it can."""
    hook, _ = made(receiver)
    for memory in ("bad", "good-1", "good-2"):
        happened(memory)
    receiver.status = 400
    assert upkeep.webhooks() == 0
    assert len(receiver.got) == 1
    first, second, third = hook.deliveries.order_by("number")
    assert second.next_at == third.next_at < first.next_at
    receiver.status = 200
    hook.deliveries.update(next_at=F("next_at") - timedelta(minutes=5))
    assert upkeep.webhooks() == 3
    assert [json.loads(body)["data"]["memory_id"] for _, body in receiver.got] == ["bad", "good-1", "good-2", "bad"]


def test_addresses_take_turns_and_one_that_fails_gets_one_try(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backlog of one user does not keep the others waiting."""
    monkeypatch.setattr(delivery, "TICK_SECONDS", 600.0)  # a busy machine ends a turn early
    busy, _ = made(receiver)
    for number in range(delivery.OF_ONE_AT_ONCE + 5):
        happened(f"m{number}")
    delivery.read_on()
    made(receiver, uid="bob")
    happened("bobs", uid="bob")
    assert upkeep.webhooks() == delivery.OF_ONE_AT_ONCE + 1
    told = [json.loads(body)["data"]["memory_id"] for _, body in receiver.got]
    assert told[:3] == ["m0", "bobs", "m1"]
    assert busy.deliveries.filter(state="waiting").count() == 5


def test_after_a_day_a_message_is_given_up_and_the_address_switched_off_with_a_notice(receiver: Receiver) -> None:
    hook, _ = made(receiver)
    happened()
    happened("m2")
    receiver.status = 503
    upkeep.webhooks()
    day = timedelta(days=1, minutes=1)
    hook.deliveries.update(give_up_at=F("give_up_at") - day, next_at=F("created_at") - day)
    Webhook.objects.update(failing_since=F("failing_since") - day)
    upkeep.webhooks()
    hook.refresh_from_db()
    assert (hook.active, hook.off_reason) == (False, "failing")
    assert set(hook.deliveries.values_list("state", flat=True)) == {"failed"}
    told = UserEvent.objects.filter(uid="ana", type=events.WEBHOOK_SWITCHED_OFF)
    assert [row.payload for row in told] == [{"webhook_id": hook.id}]
    now_due()
    count = len(receiver.got)
    happened("m3")
    assert (upkeep.webhooks(), len(receiver.got)) == (0, count), "switched off"
    receiver.status = 200
    hooks.change("ana", hook.id, url=None, kinds=None, active=True, fence=no_fence)
    happened("m4")
    assert upkeep.webhooks() == 1
    assert json.loads(receiver.got[-1][1])["data"]["memory_id"] == "m4"
    assert hooks.send_again("ana", hook.id, 1).state == "waiting"
    assert upkeep.webhooks() == 1
    assert json.loads(receiver.got[-1][1])["data"]["memory_id"] == "m1"


def test_another_address_does_not_inherit_the_failures_of_the_first(receiver: Receiver) -> None:
    hook, _ = made(receiver)
    happened()
    receiver.status = 500
    upkeep.webhooks()
    changed = hooks.change("ana", hook.id, url=f"{receiver.url}&b=2", kinds=None, active=None, fence=no_fence)
    assert (changed.failures, changed.failing_since) == (0, None)


def test_gone_means_gone(receiver: Receiver) -> None:
    hook, _ = made(receiver)
    happened()
    receiver.status = 410
    upkeep.webhooks()
    hook.refresh_from_db()
    assert (hook.active, hook.off_reason) == (False, "failing")


def test_a_redirect_to_metadata_is_a_failure_and_not_followed(receiver: Receiver) -> None:
    hook, _ = made(receiver)
    happened()
    receiver.status, receiver.location = 307, "http://169.254.169.254/latest/meta-data/"
    assert upkeep.webhooks() == 0
    row = hook.deliveries.get()
    assert (row.status_code, row.error) == (307, "redirect")


def test_an_address_that_the_rules_refuse_by_now_is_told_nothing(receiver: Receiver, settings: Any) -> None:
    hook, _ = made(receiver)
    happened()
    settings.OMI_WEBHOOK_LOOPBACK = False
    upkeep.webhooks()
    assert (hook.deliveries.get().error, receiver.got) == ("refused_address", [])


def test_for_a_day_both_secrets_sign_and_then_the_new_one_alone(receiver: Receiver) -> None:
    hook, old = made(receiver)
    _, new = hooks.rotate("ana", hook.id)
    happened()
    upkeep.webhooks()
    headers, body = receiver.got[0]
    assert headers["webhook-signature"].split(" ") == [signed(new, headers, body), signed(old, headers, body)]
    Webhook.objects.update(previous_until=timezone.now() - timedelta(seconds=1))
    hooks.send_again("ana", hook.id, 1)
    upkeep.webhooks()
    headers, body = receiver.got[1]
    assert headers["webhook-signature"] == signed(new, headers, body)
    upkeep.prune()
    hook.refresh_from_db()
    assert hook.previous_secret == ""


def test_deliveries_are_kept_for_a_week(receiver: Receiver) -> None:
    hook, _ = made(receiver)
    happened()
    upkeep.webhooks()
    upkeep.prune()
    assert hook.deliveries.count() == 1
    hook.deliveries.update(created_at=timezone.now() - timedelta(days=7, minutes=1))
    upkeep.prune()
    assert hook.deliveries.count() == 0


def test_where_much_waits_the_log_is_not_read_on_and_nothing_is_lost(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MOST_WAITING", 2)
    monkeypatch.setattr(delivery, "EVENTS_AT_ONCE", 2)
    hook, _ = made(receiver)
    for number in range(5):
        happened(f"m{number}")
    assert (delivery.read_on(), delivery.read_on()) == (2, 0)
    with pytest.raises(hooks.StillWaiting):
        hooks.send_test("ana", hook.id)
    assert [upkeep.webhooks() for _ in range(3)] == [2, 2, 1]
    assert [json.loads(body)["data"]["memory_id"] for _, body in receiver.got] == [f"m{n}" for n in range(5)]


def test_a_hole_in_the_log_does_not_stop_it(receiver: Receiver) -> None:
    """Events of a memory that was erased before they were read."""
    hook, _ = made(receiver)
    happened("gone")
    events.forget_memory("ana", "gone")
    assert upkeep.webhooks() == 0
    hook.refresh_from_db()
    assert hook.cursor == 1
    happened()
    assert upkeep.webhooks() == 1


def test_nothing_is_told_of_an_account_that_is_erased(receiver: Receiver) -> None:
    """The fence stands before the rows are gone: neither what waits nor what is in the log is sent."""
    hook, _ = made(receiver)
    happened()
    delivery.read_on()
    happened("m2")
    mark_erased("ana")
    assert upkeep.webhooks() == 0
    assert (receiver.got, hook.deliveries.count()) == ([], 1)


def test_a_try_that_ends_after_the_erasure_brings_nothing_back(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also not the log, by the notice that an address was switched off."""
    made(receiver)
    happened()

    def meanwhile(*_: Any) -> int:
        mark_erased("ana")
        hooks.forget_user("ana")
        events.forget_user("ana")
        return 410

    monkeypatch.setattr(reaching, "post", meanwhile)
    assert upkeep.webhooks() == 0
    assert hooks.remaining("ana") == 0
    assert (UserEvent.objects.count(), EventCounter.objects.count()) == (0, 0)
