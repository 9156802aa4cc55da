"""What a user does with webhooks: add, change, remove, rotate the secret, send again. Everything takes the uid, so that
a stranger finds nothing."""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from memories.user_events import log as events
from memories.webhooks import metrics, rules, signing
from memories.webhooks.models import Webhook, WebhookDelivery
from omi.accounts import erased
from omi.accounts.erased import Fence


class WebhookNotFound(Exception):
    """The user has no such webhook, or it no such delivery."""


class TooManyWebhooks(Exception):
    """The user has as many as there may be."""


class SameAddress(Exception):
    """The user has a webhook for this address: a second one would tell everything twice."""


class StillWaiting(Exception):
    """The delivery is on its way, or as many wait as may."""


def of_user(uid: str) -> QuerySet[Webhook]:
    """The user's webhooks, oldest first."""
    return Webhook.objects.filter(uid=uid).order_by("created_at", "id")


def get(uid: str, webhook_id: str) -> Webhook:
    """One webhook. Raises WebhookNotFound."""
    found = Webhook.objects.filter(uid=uid, id=webhook_id).first()
    if found is None:
        raise WebhookNotFound
    return found


def create(uid: str, url: str, kinds: list[str], *, fence: Fence) -> tuple[Webhook, str]:
    """Add a webhook that is told what happens from now on; the secret is given here and never again.

    Raises BadAddress, TooManyWebhooks, SameAddress and AccountErased.
    """
    rules.address_of(url)
    secret = signing.new_secret()
    with events.user_write(uid, fence) as latest:
        known = set(of_user(uid).values_list("url", flat=True))
        if url in known:
            raise SameAddress
        if len(known) >= rules.MOST_PER_USER:
            raise TooManyWebhooks
        hook = Webhook.objects.create(
            id=f"wh_{secrets.token_hex(12)}",
            uid=uid,
            url=url,
            kinds=kinds,
            secret=signing.sealed(secret),
            cursor=latest,
            created_at=timezone.now(),
        )
    return hook, secret


def change(
    uid: str, webhook_id: str, *, url: str | None, kinds: list[str] | None, active: bool | None, fence: Fence
) -> Webhook:
    """Change the fields of a webhook: change what is given. Switched on again it is told what happens from then on, not
    what it missed.

    Raises WebhookNotFound, BadAddress, SameAddress and AccountErased.
    """
    if url is not None:
        rules.address_of(url)
    dropped = 0
    with events.user_write(uid, fence) as latest:
        hook = locked(uid, webhook_id)
        if url is not None and url != hook.url:
            if of_user(uid).filter(url=url).exists():
                raise SameAddress
            hook.url, hook.failures, hook.failing_since = url, 0, None
        if kinds is not None:
            hook.kinds = kinds
        if active is not None and active != hook.active:
            hook.active, hook.off_reason = active, "" if active else "user"
            hook.failures, hook.failing_since = 0, None
            if active:
                hook.cursor = latest
            else:
                dropped = drop_waiting(hook)
        hook.save()
    if dropped:
        metrics.ENDED.inc(metrics.SWITCHED_OFF, amount=dropped)
    return hook


def delete(uid: str, webhook_id: str) -> None:
    """Remove a webhook with its deliveries. Raises WebhookNotFound."""
    if not Webhook.objects.filter(uid=uid, id=webhook_id).delete()[0]:
        raise WebhookNotFound


def rotate(uid: str, webhook_id: str) -> tuple[Webhook, str]:
    """Give the webhook a new secret; for a day both sign, so that the receiver can change over. Raises
    WebhookNotFound."""
    secret = signing.new_secret()
    with transaction.atomic():
        hook = locked(uid, webhook_id)
        hook.previous_secret, hook.previous_until = hook.secret, timezone.now() + rules.BOTH_SECRETS
        hook.secret = signing.sealed(secret)
        hook.save(update_fields=["secret", "previous_secret", "previous_until"])
    return hook, secret


def deliveries(uid: str, webhook_id: str, *, before: int | None, limit: int) -> list[WebhookDelivery]:
    """The delivery log, newest first; ``before`` goes on behind the last number of a page. Raises WebhookNotFound."""
    rows = get(uid, webhook_id).deliveries.order_by("-number")
    return list((rows if before is None else rows.filter(number__lt=before))[:limit])


def send_again(uid: str, webhook_id: str, number: int) -> WebhookDelivery:
    """Let a delivery that ended be tried for another day, with the same id and body. Raises WebhookNotFound and
    StillWaiting."""
    with transaction.atomic():
        hook = locked(uid, webhook_id)
        found = hook.deliveries.select_for_update().filter(number=number).first()
        if found is None:
            raise WebhookNotFound
        if found.state == WebhookDelivery.State.WAITING or not hook.active or full(hook):
            raise StillWaiting
        now = timezone.now()
        found.state, found.tries, found.next_at = WebhookDelivery.State.WAITING, 0, now
        found.give_up_at = now + rules.TRIED_FOR
        found.save(update_fields=["state", "tries", "next_at", "give_up_at"])
    return found


def send_test(uid: str, webhook_id: str) -> WebhookDelivery:
    """Queue a message that says nothing, to try the receiver with. Raises WebhookNotFound and StillWaiting."""
    with transaction.atomic():
        hook = locked(uid, webhook_id)
        if not hook.active or full(hook):
            raise StillWaiting
        # Not the number of an event: a test is none.
        made = add(hook, rules.TEST, f"test_{secrets.token_hex(8)}", 0, timezone.now(), "")
        hook.save(update_fields=["last_number"])
    return made


def add(hook: Webhook, kind: str, told_as: str, event: int, at: datetime, memory_id: str) -> WebhookDelivery:
    """Make a delivery of a locked webhook; the caller saves ``last_number``."""
    hook.last_number += 1
    now = timezone.now()
    said = rules.content(kind, event, at.isoformat().replace("+00:00", "Z"), memory_id)
    return WebhookDelivery.objects.create(
        webhook=hook,
        number=hook.last_number,
        message_id=f"msg_{hook.id[3:]}_{told_as}",
        kind=kind,
        memory_id=memory_id,
        body=json.dumps(said, separators=(",", ":")),
        created_at=now,
        next_at=now,
        give_up_at=now + rules.TRIED_FOR,
    )


def full(hook: Webhook) -> bool:
    """Whether as many messages wait for this address as may."""
    return hook.deliveries.filter(state=WebhookDelivery.State.WAITING).count() >= rules.MOST_WAITING


def drop_waiting(hook: Webhook) -> int:
    """End what waits for an address that is switched off; it may be sent again later. How many messages."""
    waiting = hook.deliveries.filter(state=WebhookDelivery.State.WAITING)
    return waiting.update(state=WebhookDelivery.State.FAILED, error="switched_off")


def locked(uid: str, webhook_id: str) -> Webhook:
    """The webhook, held until the caller's transaction ends. Raises WebhookNotFound."""
    found = Webhook.objects.select_for_update().filter(uid=uid, id=webhook_id).first()
    if found is None:
        raise WebhookNotFound
    return found


def forget_memory(uid: str, memory_id: str) -> int:
    """Erase the deliveries that name a memory; those that wait are not sent any more.

    Called when its events are gone. Whoever is making deliveries of them holds the webhook's row, and is waited for.
    """
    with transaction.atomic():
        list(of_user(uid).select_for_update().values_list("id"))
        return WebhookDelivery.objects.filter(webhook__uid=uid, memory_id=memory_id).delete()[0]


def forget_user(uid: str) -> int:
    """Erase the user's webhooks. Waits for whoever is creating one, who meets the account's fence from then on."""
    with transaction.atomic():
        events.lock(uid)
        return Webhook.objects.filter(uid=uid).delete()[0]


def remaining(uid: str) -> int:
    """How many webhooks and deliveries of a user are there."""
    return of_user(uid).count() + WebhookDelivery.objects.filter(webhook__uid=uid).count()


def exported(uid: str) -> list[dict[str, Any]]:
    """A user's webhooks with what was told, for the export. Secrets stay: whoever has one can sign as this server."""
    own = ("id", "url", "kinds", "active", "off_reason", "created_at", "previous_until")
    told = (
        "number",
        "message_id",
        "kind",
        "memory_id",
        "state",
        "tries",
        "created_at",
        "tried_at",
        "status_code",
        "error",
    )
    return [
        {
            **{name: getattr(hook, name) for name in own},
            "deliveries": list(hook.deliveries.order_by("number").values(*told)),
        }
        for hook in of_user(uid)
    ]


def alive(hook: Webhook) -> bool:
    """Whether the account that made this webhook is there. A row that an erasure has not reached is told nothing."""
    return not erased.erased_since(hook.uid, hook.created_at)
