"""The tick that a schedule calls: reads the event log on, and sends what is due.

Each step is small and may be repeated: events become deliveries in the transaction that moves the webhook's cursor, and
a delivery is claimed by moving its next try before it is sent, so that one that a dying worker had is tried again with
the same id. A receiver may so hear a thing twice, and knows it by the id.
"""

from __future__ import annotations

import time
from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import F, Min, OuterRef, Subquery
from django.utils import timezone

from memories.user_events import log as events
from memories.user_events.models import EventCounter, UserEvent
from memories.webhooks import hooks, metrics, reaching, rules, signing
from memories.webhooks.models import Webhook, WebhookDelivery
from omi.core.pruning import delete_in_pieces

log = structlog.get_logger(__name__)

WEBHOOKS_AT_ONCE = 200
"""Webhooks that a tick reads events for, and as many that it sends to."""
EVENTS_AT_ONCE = 200
OF_ONE_AT_ONCE = 20
"""Messages for one address in a tick."""
TICK_SECONDS = 20.0
"""A tick begins nothing after this: runs need the worker, too."""
CLAIM = timedelta(seconds=60)
USER_AGENT = "omi-webhooks/1"
WAITING, DELIVERED, FAILED = (
    WebhookDelivery.State.WAITING,
    WebhookDelivery.State.DELIVERED,
    WebhookDelivery.State.FAILED,
)


def tick() -> int:
    """Read on and send. How many messages arrived."""
    read_on()
    return send_due()


def read_on(limit: int = WEBHOOKS_AT_ONCE) -> int:
    """Make deliveries of events that webhooks have not seen; how many were made."""
    last = EventCounter.objects.filter(uid=OuterRef("uid")).values("last")
    behind = Webhook.objects.filter(active=True).annotate(last=Subquery(last)).filter(last__gt=F("cursor"))
    return sum(_read_on(identity) for identity in behind.order_by("?").values_list("id", flat=True)[:limit])


def _read_on(webhook_id: str) -> int:
    with transaction.atomic():
        hook = Webhook.objects.select_for_update().filter(id=webhook_id, active=True).first()
        if hook is None or not hooks.alive(hook) or hooks.full(hook):
            return 0
        rows = UserEvent.objects.filter(uid=hook.uid, number__gt=hook.cursor).order_by("number")[:EVENTS_AT_ONCE]
        made = 0
        for row in rows:
            hook.cursor = row.number
            kind = rules.BY_EVENT.get(row.type)
            if kind in hook.kinds and kind is not None:
                hooks.add(hook, kind, str(row.number), row.number, row.created_at, row.memory_id)
                made += 1
        if not rows:  # the newest events were erased with their memory
            hook.cursor = max(hook.cursor, events.latest(hook.uid))
        hook.save(update_fields=["cursor", "last_number"])
    return made


def send_due() -> int:
    """Send what is due; how many arrived. Addresses take turns, a message each, and one that failed gets no more: so
    nobody's slow receiver keeps the others waiting for long."""
    began = time.monotonic()
    due = WebhookDelivery.objects.filter(state=WAITING, next_at__lte=timezone.now(), webhook__active=True)
    oldest = due.values("webhook_id").annotate(first=Min("next_at")).order_by("first")
    turn: list[str] = [row["webhook_id"] for row in oldest[:WEBHOOKS_AT_ONCE]]
    arrived = 0
    for _ in range(OF_ONE_AT_ONCE):
        goes_on = []
        for webhook_id in turn:
            if time.monotonic() - began > TICK_SECONDS:
                return arrived
            mine = due.filter(webhook_id=webhook_id).order_by("next_at", "id")
            if (following := mine.values_list("id", flat=True).first()) is not None and _send(following):
                arrived += 1
                goes_on.append(webhook_id)
        turn = goes_on
    return arrived


def _send(delivery_id: int) -> bool:
    now = timezone.now()
    mine = WebhookDelivery.objects.filter(id=delivery_id, state=WAITING, next_at__lte=now)
    if not mine.update(next_at=now + CLAIM, tries=F("tries") + 1, tried_at=now):
        return False  # another worker has it
    found = WebhookDelivery.objects.select_related("webhook").filter(id=delivery_id, webhook__active=True).first()
    if found is None or not hooks.alive(found.webhook):
        return False
    began = time.monotonic()
    status, error = _post(found, int(now.timestamp()))
    spent = int((time.monotonic() - began) * 1000)
    good = status is not None and 200 <= status < 300
    _note(found, good, status, error, spent)
    return good


def _post(found: WebhookDelivery, timestamp: int) -> tuple[int | None, str]:
    hook, body = found.webhook, found.body.encode()
    try:
        address = rules.address_of(hook.url)  # the rules, or the settings, may be others than when it was made
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "webhook-id": found.message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signing.signature(_secrets(hook), found.message_id, timestamp, body),
        }
        status = reaching.post(address.scheme, address.host, address.port, address.target, headers, body)
    except (rules.BadAddress, reaching.Refused):
        return None, "refused_address"
    except reaching.Unreachable as error:
        return None, error.code
    except signing.SecretLost:
        return None, "secret_lost"
    if 300 <= status < 400:
        return status, "redirect"
    return status, "" if 200 <= status < 300 else "bad_status"


def _secrets(hook: Webhook) -> list[str]:
    stored = [hook.secret]
    if hook.previous_secret and hook.previous_until is not None and hook.previous_until > timezone.now():
        stored.append(hook.previous_secret)
    return [signing.opened(secret) for secret in stored]


def _note(found: WebhookDelivery, good: bool, status: int | None, error: str, spent: int) -> None:
    """Write down what came of a try. Only rows that are still there are changed: an erasure may have come between."""
    over, dropped, off = False, 0, False
    with transaction.atomic():
        if not good:
            events.lock_if_there(found.webhook.uid)
        hook = Webhook.objects.select_for_update().filter(id=found.webhook_id).first()
        if hook is None:
            return
        told = {"status_code": status, "error": error, "milliseconds": spent}
        mine = hook.deliveries.filter(id=found.id)
        if good:
            over = bool(mine.update(state=DELIVERED, **told))
            hook.failures, hook.failing_since = 0, None
        else:
            mine.update(**told)
            over = _hold_back(hook, found)
            if hook.active and _hopeless(hook, status):
                dropped, off = _switch_off(hook), True
        hook.save(update_fields=["failures", "failing_since", "active", "off_reason"])
    _count(good, error, over, dropped, off)
    told = {"webhook": hook.id, "memory_id": found.memory_id, "tries": found.tries, "milliseconds": spent}
    if good:
        log.info("webhook_delivered", **told)
    else:
        log.info("webhook_failed", error=error, status=status, off=not hook.active, **told)


def _count(good: bool, error: str, over: bool, dropped: int, off: bool) -> None:
    """Tell the figures, when what they are about is written: ``over``: the message ended with this try."""
    if not good:
        metrics.FAILED_TRIES.inc(error)
    if over:
        metrics.ENDED.inc(metrics.DELIVERED if good else metrics.GIVEN_UP)
    if dropped:
        metrics.ENDED.inc(metrics.SWITCHED_OFF, amount=dropped)
    if off:
        metrics.OFF.inc()


def _hold_back(hook: Webhook, found: WebhookDelivery) -> bool:
    """Leave the address alone for a while, and longer each time. What failed comes after what waits: a message that the
    receiver cannot take must not stand before those that it can. True: this message is given up."""
    now = timezone.now()
    hook.failures, hook.failing_since = hook.failures + 1, hook.failing_since or now
    waiting = hook.deliveries.filter(state=WAITING)
    later = now + rules.pause(hook.failures)
    waiting.filter(next_at__lt=later).exclude(id=found.id).update(next_at=later)
    own = max(later, now + rules.pause(found.tries)) + timedelta(seconds=1)
    state = WAITING if own < found.give_up_at else FAILED
    return bool(waiting.filter(id=found.id).update(next_at=own, state=state)) and state == FAILED


def _hopeless(hook: Webhook, status: int | None) -> bool:
    """410 says "never again"; else nothing arrived for more than a day of tries."""
    now = timezone.now()
    return status == 410 or now - (hook.failing_since or now) >= rules.OFF_AFTER


def _switch_off(hook: Webhook) -> int:
    """How many messages that waited were dropped."""
    hook.active, hook.off_reason = False, "failing"
    dropped = hooks.drop_waiting(hook)
    if hooks.alive(hook):
        # The webhook's row is held: an erasure waits for it and clears the log behind this.
        events.append(hook.uid, events.WEBHOOK_SWITCHED_OFF, {"webhook_id": hook.id})
    return dropped


def prune() -> int:
    """Delete deliveries that are older than the days they are kept, and earlier secrets that no longer sign."""
    now = timezone.now()
    Webhook.objects.filter(previous_until__lt=now).update(previous_secret="", previous_until=None)
    old = WebhookDelivery.objects.filter(created_at__lt=now - rules.KEPT).exclude(state=WAITING)
    return delete_in_pieces(old)
