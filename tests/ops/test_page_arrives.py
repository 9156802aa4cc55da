"""A vendor breaks, somebody is paged; it is mended as the runbook says, and the page is taken back.

Everything is real but the vendor and PagerDuty: daphne, qcluster, Prometheus, Alertmanager.
"""

from __future__ import annotations

import pytest

from tests.ops.deployment import Deployment, log_of, until
from tests.ops.watching import Watch

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]
ALERT = "VendorQuotaExhausted"


def test_a_vendor_without_money_pages_and_is_resolved(lived_in: Deployment, watched: Watch) -> None:
    receiver = watched.receiver
    before = len(receiver.arrived)
    until(lambda: not {ALERT, "MetricsMissing", "ServerDown"} & watched.firing(), 60, "it was not quiet before")
    lived_in.vendors.faults("openai", {"kind": "quota", "times": -1})
    try:
        lived_in.app("unlucky").create_memory()
        until(
            lambda: receiver.pages("trigger", ALERT),
            120,
            lambda: (
                f"{watched.firing()} fires; arrived {receiver.arrived[before:]}; {log_of(lived_in.installation.folder)}"
            ),
        )
    finally:
        lived_in.vendors.faults("openai", clear=True)
    [page] = {event["dedup_key"]: event for event in receiver.pages("trigger", ALERT)}.values()
    assert page["routing_key"] == "a" * 32
    assert page["payload"]["severity"] == "critical"
    details = page["payload"]["custom_details"]
    assert details["runbook"] == f"docs/runbooks/{ALERT}.md"
    assert "next provider" in details["impact"]
    assert "close the breaker" in details["action"]
    # A scrape that a busy machine lets time out takes the series away until the next one.
    fires = until(lambda: watched.query(f'ALERTS{{alertname="{ALERT}"}}'), 30, f"{ALERT} does not fire any more")
    assert {row["metric"]["vendor"] for row in fires} == {"openai"}
    assert page["payload"]["summary"].startswith("openai refuses")
    hooks = [body for path, body in receiver.arrived[before:] if path == "/alerts" and ALERT in str(body)]
    assert hooks, "the plain webhook is told, too"

    told = lived_in.installation.manage("breakers")
    assert "openai: not called since" in told
    assert "called again" in lived_in.installation.manage("breakers", "--close", "openai")
    until(
        lambda: [event for event in receiver.pages("resolve", ALERT) if event["dedup_key"] == page["dedup_key"]],
        120,
        lambda: f"{watched.firing()} fires",
    )
    assert ALERT not in watched.firing()


def test_a_key_that_is_refused_pages(lived_in: Deployment, watched: Watch) -> None:
    """No breaker opens for it: each question is refused by itself."""
    receiver = watched.receiver
    lived_in.vendors.faults("openai", {"kind": "refuse", "status": 401, "op": "chat", "times": -1})
    refused = lived_in.app("refused")
    try:
        for _ in range(8):  # more than five within the copy's twenty seconds
            refused.create_memory()
        until(
            lambda: receiver.pages("trigger", "VendorCallsFail"),
            120,
            lambda: f"{watched.firing()} fires; {log_of(lived_in.installation.folder)}",
        )
    finally:
        lived_in.vendors.faults("openai", clear=True)
    page = receiver.pages("trigger", "VendorCallsFail")[0]
    assert page["payload"]["custom_details"]["runbook"] == "docs/runbooks/VendorCallsFail.md"
    assert page["payload"]["summary"].startswith("openai refuses or fails most calls of the kind structure")
    until(lambda: "VendorCallsFail" not in watched.firing(), 120, lambda: f"{watched.firing()} fires")


def test_the_dead_mans_switch_beats(watched: Watch) -> None:
    until(lambda: [path for path, _ in watched.receiver.arrived if path == "/watchdog"], 60, "no Watchdog arrived")
