"""Whoever watches is watched: what shuts the way in, what is not delivered, and a rule that fails arrive somewhere.

Prometheus, Alertmanager and the blackbox exporter are real, with copies of the files of ``ops/`` (``watching``).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ops import bad_watch
from tests.ops.deployment import until
from tests.ops.watching import Watch

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


def told_by_webhook(watched: Watch, alert: str, after: int) -> list[dict[str, str]]:
    """The annotations of the alert in what the plain webhook was sent."""
    return [
        item["annotations"]
        for path, body in list(watched.receiver.arrived[after:])
        if path == "/alerts"
        for item in body["alerts"]
        if item["labels"]["alertname"] == alert and item["status"] == "firing"
    ]


@pytest.fixture
def mended(watched: Watch) -> Iterator[Watch]:
    """Others share it: whatever a test does to it is taken back."""
    yield watched
    watched.receiver.no_key = False
    watched.door.open()
    if (watched.rules / "broken.yml").exists():
        bad_watch.rule_is_gone(watched)


def test_every_job_is_scraped_and_tells_what_the_alerts_read(watched: Watch) -> None:
    bad_watch.door_is_open(watched)
    for job in ("omi", "way-in", "alertmanager", "prometheus"):
        bad_watch.seen(watched, f'up{{job="{job}"}} == 1')
    assert watched.query('probe_ssl_earliest_cert_expiry{job="way-in"} - time() > 59 * 24 * 3600')
    assert watched.query('sum by (integration) (alertmanager_notifications_failed_total{integration="pagerduty"})')
    assert watched.query('sum by (integration) (alertmanager_notifications_failed_total{integration="webhook"})')
    assert watched.query('prometheus_rule_evaluation_failures_total{rule_group=~".*;omi-servers"}')


def test_a_door_that_is_shut_pages_while_every_server_is_well(mended: Watch) -> None:
    resolved = len(mended.receiver.pages("resolve", "WayInClosed"))
    paged = len(mended.receiver.pages("trigger", "WayInClosed"))
    bad_watch.door_is_shut(mended)
    page = until(
        lambda: mended.receiver.pages("trigger", "WayInClosed")[paged:], 60, lambda: f"{mended.firing()} fires"
    )[0]
    assert page["payload"]["summary"].startswith(f"{mended.door.url}/healthz cannot be reached from outside")
    assert "ServerDown" not in mended.firing()
    bad_watch.door_is_open(mended)
    until(lambda: mended.receiver.pages("resolve", "WayInClosed")[resolved:], 60, "the page is not taken back")


def test_a_page_that_pagerduty_does_not_take_is_told_by_webhook(mended: Watch) -> None:
    before = len(mended.receiver.arrived)
    bad_watch.key_is_wrong(mended)
    told = until(
        lambda: told_by_webhook(mended, "PagesNotDelivered", before),
        60,
        lambda: f"{mended.firing()} fires; arrived {mended.receiver.arrived[before:]}",
    )
    assert {notes["summary"] for notes in told} == {"Alertmanager could not deliver by pagerduty."}
    assert not [body for path, body in mended.receiver.arrived[before:] if path == "/v2/enqueue"]
    # With the right key what had failed is sent after all: no page is lost by having been refused.
    bad_watch.key_is_right(mended)
    until(lambda: "PagesNotDelivered" not in mended.firing(), 90, "it is not over")


def test_a_page_of_several_alerts_has_a_summary_without_which_pagerduty_takes_none(watched: Watch) -> None:
    """One vendor whose key is refused fails in several operations, each with a summary of its own."""
    both = [{"alertname": "TryTwo", "vendor": "openai", "operation": name} for name in ("structure", "embed")]
    bad_watch.put(watched, *both)
    summary = until(lambda: page_of_both(watched), 30, "PagerDuty was sent nothing of both that it takes")
    assert "TryTwo of structure." in summary


def page_of_both(watched: Watch) -> str:
    """The first page may hold only the alert that came first."""
    summaries = [event["payload"]["summary"] for event in watched.receiver.pages("trigger", "TryTwo")]
    return next((summary for summary in summaries if "TryTwo of embed." in summary and "structure" in summary), "")


def test_a_rule_that_cannot_be_evaluated_is_a_ticket(mended: Watch) -> None:
    before = len(mended.receiver.arrived)
    bad_watch.rule_fails(mended)
    told = until(lambda: told_by_webhook(mended, "RulesFail", before), 60, "no ticket arrived")
    assert told[0]["summary"] == f"A rule of {mended.rules / 'broken.yml'};broken cannot be evaluated."
    bad_watch.rule_is_gone(mended)
    until(lambda: "RulesFail" not in mended.firing(), 90, "it is not over")
