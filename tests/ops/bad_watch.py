"""What can go wrong with those who watch, done to a ``Watch`` and taken back; each until Prometheus has seen it."""

from __future__ import annotations

import datetime as dt
import time

import httpx

from tests.ops.conftest import program
from tests.ops.deployment import until
from tests.ops.watching import Watch

FAILS = """
groups:
  - name: broken
    rules:
      - record: omi:broken
        expr: label_replace(label_replace(vector(1), "a", "1", "", "") or vector(2), "a", "3", "", "")
"""
"""Two series that become one: Prometheus takes the rule and cannot evaluate it."""


def put(watched: Watch, *alerts: dict[str, str], minutes: float = 2) -> None:
    """Alerts of severity page, as by the hand of an operator."""
    now = dt.datetime.now(dt.UTC)
    body = [
        {
            "labels": {"severity": "page", **labels},
            "annotations": {"summary": f"{labels['alertname']} of {labels.get('operation', 'nothing')}."},
            "startsAt": now.isoformat(),
            "endsAt": (now + dt.timedelta(minutes=minutes)).isoformat(),
        }
        for labels in alerts
    ]
    httpx.post(f"{watched.alertmanager}/api/v2/alerts", json=body, timeout=10).raise_for_status()


def seen(watched: Watch, expression: str, seconds: float = 60) -> None:
    until(lambda: watched.query(expression), seconds, lambda: f"not {expression}; {watched.firing()} fires")


def quiet(watched: Watch, alert: str) -> None:
    """Wait until neither has it any more of an earlier time: what still fires is not told anew."""
    seen(watched, f'absent(ALERTS{{alertname="{alert}"}})', 90)
    url = f"{watched.alertmanager}/api/v2/alerts"
    until(lambda: not httpx.get(url, params={"filter": f'alertname="{alert}"'}, timeout=10).json(), 60, alert)


def door_is_shut(watched: Watch) -> None:
    door_is_open(watched)
    watched.door.close()
    seen(watched, 'probe_success{job="way-in"} == 0')


def door_is_open(watched: Watch) -> None:
    """Skips where nobody can knock."""
    program("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
    watched.door.open()
    seen(watched, 'probe_success{job="way-in"} == 1')
    quiet(watched, "WayInClosed")


def key_is_wrong(watched: Watch) -> None:
    quiet(watched, "PagesNotDelivered")
    watched.receiver.no_key = True
    # Of a name of its own each time: what was delivered once is not sent again for hours.
    put(watched, {"alertname": f"TryTheKey{time.monotonic_ns()}"})
    seen(watched, 'ALERTS{alertname="PagesNotDelivered", integration="pagerduty", alertstate="firing"}')


def key_is_right(watched: Watch) -> None:
    before = len(watched.receiver.pages("trigger", "TryTheKey"))
    watched.receiver.no_key = False
    until(lambda: watched.receiver.pages("trigger", "TryTheKey")[before:], 60, "the page is not sent again")


def rule_fails(watched: Watch) -> None:
    quiet(watched, "RulesFail")
    (watched.rules / "broken.yml").write_text(FAILS)
    watched.read_rules_again()
    seen(watched, 'ALERTS{alertname="RulesFail", alertstate="firing"}')


def rule_is_gone(watched: Watch) -> None:
    (watched.rules / "broken.yml").unlink()
    watched.read_rules_again()
