"""Figures of webhooks: what came of messages is counted as it happens, what waits is read from the rows at a scrape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily

from memories.webhooks.models import Webhook, WebhookDelivery
from omi.shared_metrics.collectors import register_rows
from omi.shared_metrics.counters import SharedCounter

MOST: Final = 10_000
"""A scrape counts no further than this: a thousand messages may wait for each address."""

DELIVERED: Final = "delivered"
GIVEN_UP: Final = "given_up"
SWITCHED_OFF: Final = "switched_off"

ERRORS: Final = (
    "bad_answer",
    "bad_certificate",
    "bad_status",
    "no_connection",
    "redirect",
    "refused_address",
    "secret_lost",
    "too_slow",
    "unknown_host",
)
"""What a try can fail of (docs/webhooks.md)."""

ENDED: Final = SharedCounter(
    "omi_webhook_deliveries",
    "Messages of webhooks that ended",
    ["outcome"],
    begin=((DELIVERED,), (GIVEN_UP,), (SWITCHED_OFF,)),
)
FAILED_TRIES: Final = SharedCounter(
    "omi_webhook_failed_tries",
    "Tries to deliver a message that failed",
    ["error"],
    begin=tuple((error,) for error in ERRORS),
)
OFF: Final = SharedCounter("omi_webhook_switched_off", "Addresses that were switched off because nothing arrived there")


def families() -> Iterable[Any]:
    """Three queries by an index."""
    waiting = WebhookDelivery.objects.filter(state=WebhookDelivery.State.WAITING)
    yield GaugeMetricFamily(
        "omi_webhook_waiting", "Messages of webhooks that wait, 10,000 at most", waiting[:MOST].count()
    )
    # One that failed is due later: so an address that does not answer makes no message old, only we do.
    due_at = waiting.order_by("next_at").values_list("next_at", flat=True).first()
    late = (timezone.now() - due_at).total_seconds() if due_at else 0.0
    yield GaugeMetricFamily(
        "omi_webhook_oldest_seconds", "How long the message that is due longest has been due", max(0.0, late)
    )
    # Looked up in the index, for which SQLite needs a list: NOT active would go through all that are on.
    off = Webhook.objects.filter(active__in=[False])[:MOST].count()
    yield GaugeMetricFamily("omi_webhook_addresses_off", "Addresses that are switched off, 10,000 at most", off)


def register() -> None:
    """Register the figures of webhooks at Prometheus, when the app is ready."""
    register_rows(families)
