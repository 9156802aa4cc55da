"""What came of webhooks' messages is counted once, and what waits is told from the rows."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import Error
from django.db.models import F
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest

from memories import upkeep
from memories.models import Webhook, WebhookDelivery
from memories.webhooks import delivery, hooks, metrics
from omi.shared_metrics.collectors import RowCollector
from omi.shared_metrics.counters import SharedCollector
from tests.webhooks.conftest import Receiver
from tests.webhooks.test_delivery import happened, made, no_fence, now_due

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


def told() -> dict[str, float]:
    """Every figure of webhooks, as a scrape of a web server tells it."""
    registry = CollectorRegistry()
    for collector in (SharedCollector(), RowCollector(metrics.families)):
        registry.register(collector)  # type: ignore[arg-type]
    lines = [line for line in generate_latest(registry).decode().splitlines() if line.startswith("omi_webhook")]
    return {
        name.removeprefix("omi_webhook_"): float(value) for name, _, value in (line.rpartition(" ") for line in lines)
    }


def more(before: dict[str, float]) -> dict[str, float]:
    """By how much counters have grown."""
    return {name: value - before[name] for name, value in told().items() if "total" in name and value != before[name]}


def test_every_series_is_told_before_anything_happened() -> None:
    """Prometheus sees no increase in a series that begins at 1."""
    counted = {name for name in told() if "total" in name}
    assert counted >= {
        f'deliveries_total{{outcome="{outcome}"}}' for outcome in ("delivered", "given_up", "switched_off")
    }
    assert counted >= {f'failed_tries_total{{error="{error}"}}' for error in metrics.ERRORS}
    assert "switched_off_total" in counted
    assert "omi_webhook_waiting" in generate_latest().decode()


def test_the_errors_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "webhooks.md").read_text()
    named = set(re.findall(r"`(\w+)`", page[page.index("`error` is one of") :].split("\n\n")[0])) - {"error"}
    assert {*metrics.ERRORS, "switched_off"} == named


def test_a_message_that_arrives_is_counted_once(receiver: Receiver) -> None:
    made(receiver)
    happened()
    before = told()
    upkeep.webhooks()
    upkeep.webhooks()
    assert more(before) == {'deliveries_total{outcome="delivered"}': 1.0}


def test_a_try_that_fails_is_counted_and_ends_nothing(receiver: Receiver) -> None:
    made(receiver)
    happened()
    receiver.status = 503
    before = told()
    upkeep.webhooks()
    assert more(before) == {'failed_tries_total{error="bad_status"}': 1.0}
    now_due()
    receiver.status = 200
    upkeep.webhooks()
    assert more(before) == {'failed_tries_total{error="bad_status"}': 1.0, 'deliveries_total{outcome="delivered"}': 1.0}


def test_a_message_that_is_given_up_is_counted(receiver: Receiver) -> None:
    made(receiver)
    happened()
    delivery.read_on()
    WebhookDelivery.objects.update(give_up_at=timezone.now())
    receiver.status = 500
    before = told()
    upkeep.webhooks()
    assert more(before) == {'failed_tries_total{error="bad_status"}': 1.0, 'deliveries_total{outcome="given_up"}': 1.0}


def test_an_address_that_is_gone_is_counted_with_what_waited_for_it(receiver: Receiver) -> None:
    made(receiver)
    for memory in ("m1", "m2", "m3"):
        happened(memory)
    receiver.status = 410
    before = told()
    upkeep.webhooks()
    assert more(before) == {
        'failed_tries_total{error="bad_status"}': 1.0,
        'deliveries_total{outcome="switched_off"}': 3.0,
        "switched_off_total": 1.0,
    }
    assert told()["addresses_off"] == 1.0


def test_what_a_user_switches_off_ends_and_is_no_failure(receiver: Receiver) -> None:
    hook, _ = made(receiver)
    happened()
    delivery.read_on()
    before = told()
    hooks.change("ana", hook.id, url=None, kinds=None, active=False, fence=no_fence)
    assert more(before) == {'deliveries_total{outcome="switched_off"}': 1.0}
    assert (told()["addresses_off"], told()["waiting"]) == (1.0, 0.0)


def test_what_waits_and_how_long_it_is_due(receiver: Receiver) -> None:
    """An address that does not answer makes nothing old: what failed is due later."""
    assert (told()["waiting"], told()["oldest_seconds"], told()["addresses_off"]) == (0.0, 0.0, 0.0)
    made(receiver)
    happened()
    happened("m2")
    delivery.read_on()
    WebhookDelivery.objects.update(next_at=F("next_at") - timedelta(hours=1))
    assert told()["waiting"] == 2.0
    assert told()["oldest_seconds"] == pytest.approx(3600, abs=60)
    receiver.status = 503
    upkeep.webhooks()
    assert (told()["waiting"], told()["oldest_seconds"]) == (2.0, 0.0)


def test_a_scrape_counts_no_further_than_it_should(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST", 3)
    made(receiver)
    for number in range(5):
        happened(f"m{number}")
        Webhook.objects.create(id=f"w{number}", uid="bo", url=f"u{number}", active=False, created_at=timezone.now())
    delivery.read_on()
    assert (told()["waiting"], told()["addresses_off"]) == (3.0, 3.0)


def test_while_the_rows_cannot_be_read_nothing_is_told() -> None:
    def away() -> Any:
        raise Error("the database is away")

    assert list(RowCollector(away).collect()) == []
