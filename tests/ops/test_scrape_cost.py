"""A scrape costs the same at any size of the tables: no query of it goes through a table that grows."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client import CollectorRegistry, generate_latest

from memories.offline.metrics import OfflineCollector
from memories.pipeline.operations.metrics import PipelineCollector
from omi.core.metrics import MachineCollector
from omi.shared_metrics.counters import SharedCollector
from transcription.metrics import _Breakers

pytestmark = pytest.mark.django_db

SMALL = (
    "pipeline_figuretotal",
    "pipeline_vendorbreaker",
    "shared_metrics_sharedtotal",
    "transcription_vendorbreaker",
)
"""As many rows as there are series or vendors."""

OF_WHAT_IS_OPEN = ("run_not_counted", "call_not_counted", "run_dead_letters", "memories_row_stale")
"""Indexes that hold only what has not ended, or was not read yet."""

NEWEST_FIRST = ("memories_mirrorsample_at",)
"""Walked from the newest row, of which one is taken."""


def test_no_query_of_a_scrape_goes_through_a_table_that_grows() -> None:
    registry = CollectorRegistry()
    for collector in (PipelineCollector(), OfflineCollector(), MachineCollector(), SharedCollector(), _Breakers()):
        registry.register(collector)  # type: ignore[arg-type]
    with CaptureQueriesContext(connection) as captured:
        told = generate_latest(registry).decode()
    assert "memory_pipeline_metrics_up 1.0" in told
    asked = [query["sql"] for query in captured if query["sql"].startswith("SELECT")]
    assert len(asked) > 15
    scans = [step for sql in asked for step in _plan(sql) if step.startswith("SCAN")]
    assert [step for step in scans if not _bounded(step)] == []


def _bounded(step: str) -> bool:
    table = step.split()[1]
    index = re.search(r"INDEX (\w+)", step)
    name = index.group(1) if index else ""
    return (
        table in SMALL
        or table == "subquery"  # the rows of a subquery, whose own plan is looked at, too
        or name in OF_WHAT_IS_OPEN
        or name.startswith(NEWEST_FIRST)
        or table == "django_q_ormq"  # as long as the queue, which is as long as the runs that are unfinished
    )


def _plan(sql: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        return [str(row[3]) for row in cursor.fetchall()]
