"""Every panel of every dashboard parses, and returns data from a Prometheus that scraped a run of the real servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("dashboard", "title", "expressions"), panels(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_panel_returns_data(
    dashboard: str, title: str, expressions: list[str], lived_in: Deployment, watched: Watch
) -> None:
    """The first of a panel's queries must; the others say nothing where there is nothing to say (a breaker)."""
    asked = [expression.replace("$__rate_interval", INTERVAL) for expression in expressions]
    for expression in asked:
        watched.query(expression)  # parses
    until(lambda: numbers(watched, asked), 60, f"{dashboard}: {title} shows nothing: {asked}")


def numbers(watched: Watch, expressions: list[str]) -> list[Any]:
    """Samples that are numbers: a share of nothing is none."""
    return [row for text in expressions for row in watched.query(text) if row["value"][1] != "NaN"]
