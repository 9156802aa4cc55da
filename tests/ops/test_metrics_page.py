"""``docs/metrics.md`` lists every metric of a running server, with its type and labels, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.ops.deployment import Deployment

pytestmark = pytest.mark.process
PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \| (counter|gauge|histogram) \|([^|]*)\|", re.MULTILINE)
FORBIDDEN = {"uid", "user", "session", "session_id", "memory", "memory_id", "run", "run_id", "path", "text", "email"}
OF_A_HISTOGRAM = {"le"}


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    """Name to type and labels."""
    found = {}
    for names, kind, labels in ROW.findall(PAGE.read_text()):
        for name in re.findall(r"`(\w+)`", names):
            assert name not in found, f"{name} stands twice on the page"
            found[name] = kind, frozenset(re.findall(r"`(\w+)`", labels))
    return found


@pytest.fixture(scope="module")
def told(lived_in: Deployment) -> dict[str, Metric]:
    text = httpx.get(f"{lived_in.url}/metrics", timeout=30).text
    families = {}
    for family in text_string_to_metric_families(text):
        if not family.name.endswith("_created"):
            # The parser takes the ending of a counter away; the page has the name that one asks for.
            families[f"{family.name}_total" if family.type == "counter" else family.name] = family
    return families


def test_the_page_lists_what_a_running_server_tells(told: dict[str, Metric]) -> None:
    assert {name: kind for name, (kind, _) in documented().items()} == {
        name: family.type for name, family in told.items()
    }


def test_the_labels_are_those_of_the_page(told: dict[str, Metric]) -> None:
    wrong = {}
    seen = 0
    for name, family in told.items():
        labels = {frozenset(sample.labels) - OF_A_HISTOGRAM for sample in family.samples}
        seen += bool(labels)
        if labels - {documented()[name][1]}:
            wrong[name] = labels
    assert wrong == {}
    assert seen > 60, "nearly every metric has samples after a day of the app"


def test_no_label_names_anybody(told: dict[str, Metric]) -> None:
    labels = {label for family in told.values() for sample in family.samples for label in sample.labels}
    assert labels & FORBIDDEN == set()
