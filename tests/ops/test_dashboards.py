"""Every query of every panel parses, and returns data from a Prometheus that scraped a run of the real servers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.ops.deployment import Deployment, until
from tests.ops.watching import Watch

GRAFANA = Path(__file__).resolve().parents[2] / "ops" / "grafana"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}
INTERVAL = "15m"
"""In place of ``$__rate_interval``: long enough to hold the whole day of the app, which lies some minutes back."""


def panels() -> list[tuple[str, str, list[str]]]:
    """(dashboard, title, expressions)."""
    return [
        (name, panel["title"], [target["expr"] for target in panel["targets"]])
        for name, dashboard in DASHBOARDS.items()
        for panel in dashboard["panels"]
    ]


def test_the_dashboards_that_the_issue_names_are_there() -> None:
    assert set(DASHBOARDS) == {"omi-memories", "omi-vendors", "omi-live", "omi-servers", "omi-support"}
    assert all(dashboard["uid"] == name for name, dashboard in DASHBOARDS.items())


def test_panels_ask_the_provisioned_source_and_do_not_overlap() -> None:
    source = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())
    uid = source["datasources"][0]["uid"]
    for name, dashboard in DASHBOARDS.items():
        taken: set[tuple[int, int]] = set()
        assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
        for panel in dashboard["panels"]:
            assert {panel["datasource"]["uid"], *(target["datasource"]["uid"] for target in panel["targets"])} == {uid}
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & taken, f"{name}: {panel['title']} lies on another panel"
            taken |= cells


FALLBACK = re.compile(r"\s+or (?:on \(\) )?vector\(0\)")
"""What a panel shows where there is no series: it would hide that a metric's name is wrong."""
QUIET = {
    "omi_audio_failed_seconds_total": "all audio was transcribed",
    "omi_throttled_total": "the deployment has its rates switched off",
    "omi_live_vendor_breaker_open": "it has a series once a live vendor has failed",
    "omi_vendor_callbacks_total": "no vendor of the deployment calls back",
    "omi_vendor_answer_losses_total": "every answer could be read",
    "django_http_exceptions_total_by_type_total": "no view raised what nobody caught",
    'django_http_responses_total_by_status_view_method_total{status=~"5..",': "no answer was an error of ours",
}
"""Series that do not exist before what they count has happened, and why it does not in the day of the tests. A query of
one of them may be empty; the server must tell the metric all the same."""


def queries() -> list[tuple[str, str, str]]:
    """(dashboard, title, one expression)."""
    return [(name, title, expression) for name, title, expressions in panels() for expression in expressions]


def test_what_may_be_empty_is_asked_for() -> None:
    asked = " ".join(expression for _, _, expression in queries())
    assert {series for series in QUIET if series not in asked} == set()


@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("dashboard", "title", "expression"), queries(), ids=[f"{name} {title}" for name, title, _ in queries()]
)
def test_a_query_returns_data(
    dashboard: str, title: str, expression: str, lived_in: Deployment, watched: Watch
) -> None:
    """Each by itself, without the zero that a panel may put in its place."""
    asked = FALLBACK.sub("", expression.replace("$__rate_interval", INTERVAL))
    watched.query(expression.replace("$__rate_interval", INTERVAL))  # as it is written it parses, too
    quiet = [series.partition("{")[0] for series in QUIET if series in asked]
    if quiet:
        watched.query(asked)
        told = httpx.get(f"{lived_in.url}/metrics", timeout=30).text
        assert [metric for metric in quiet if f"# TYPE {metric} " not in told] == []
        return
    until(lambda: numbers(watched, [asked]), 60, f"{dashboard}: {title} shows nothing: {asked}")


def numbers(watched: Watch, expressions: list[str]) -> list[Any]:
    """Samples that are numbers: a share of nothing is none."""
    return [row for text in expressions for row in watched.query(text) if row["value"][1] != "NaN"]
