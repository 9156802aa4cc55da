"""A scrape costs the same at any size of the tables: no query of it goes through a table that grows, and what it reads
of the rows that are in no total, or wait, ends at a bound. The collectors are the process's, whichever they are."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest

from bench import scrape
from memories.mirror import metrics as mirror_metrics
from memories.offline import metrics as offline_metrics
from memories.pipeline import queries
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.pipeline.operations import metrics
from memories.pipeline.operations.metrics import PipelineCollector
from memories.pipeline.states import State
from transcription.hosts import metrics as host_metrics
from transcription.hosts.models import Host, HostJournal

pytestmark = pytest.mark.django_db

SMALL = (
    "pipeline_figuretotal",
    "pipeline_vendorbreaker",
    "shared_metrics_sharedtotal",
    "transcription_vendorbreaker",
    "hosts_host",
    "django_q_schedule",
)
"""As many rows as there are series, vendors, hosts or schedules."""

OF_WHAT_IS_OPEN = (
    "run_not_counted",
    "run_open_age",
    "call_not_counted",
    "run_dead_letters",
    "memories_row_stale",
    "recaps_due",
)
"""Indexes that hold only what has not ended, or was not read yet; how far they are read is the next test's."""

NEWEST_FIRST = ("memories_mirrorsample_at",)
"""Walked from the newest row, of which one is taken."""

BOUND = 50


@pytest.fixture
def two_hosts(settings: Any) -> None:
    """One is here, one has been silent for an hour and has journals on its disk."""
    settings.OMI_HOSTS = 2
    now = timezone.now()
    Host.objects.create(id="here", began_at=now, seen_at=now)
    Host.objects.create(id="gone", began_at=now - timedelta(hours=2), seen_at=now - timedelta(hours=1))


@pytest.mark.usefixtures("two_hosts")
def test_no_query_of_a_scrape_goes_through_a_table_that_grows() -> None:
    names = {type(collector).__name__ for collector in scrape.collectors()}
    assert names >= {"PipelineCollector", "RowCollector", "MachineCollector", "SharedCollector", "JournalCollector"}
    found = scrape.scrape()
    assert "memory_pipeline_metrics_up 1.0" in found["told"]
    assert 'omi_hosts{state="silent"} 1.0' in found["told"]
    assert len(found["asked"]) > 25
    scans = [step for sql in found["asked"] for step in _plan(sql) if step.startswith("SCAN")]
    assert [step for step in scans if not _bounded(step)] == []


@pytest.mark.usefixtures("two_hosts")
def test_ten_times_as_many_rows_cost_a_scrape_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in instructions of SQLite, not in time: runs, steps, calls, messages, batches and erasures that nobody
    comes to are read up to the bound."""
    for module in (metrics, mirror_metrics, offline_metrics, host_metrics):
        monkeypatch.setattr(module, "MOST", BOUND)
    seen = []
    for first, last in ((0, 2 * BOUND), (2 * BOUND, 20 * BOUND)):
        scrape.fill(first, last)
        scrape.fill_calls(last - first)
        _journals(first, last)
        seen.append(scrape.scrape())
    few, many = seen
    assert f'memory_postprocessing_unfinished{{state="waiting"}} {BOUND}.0' in many["told"]
    assert f"omi_erasures_open {BOUND}.0" in many["told"]
    assert f"memory_queue_due {BOUND}.0" in many["told"]
    assert f"omi_hosts_journals_waiting {BOUND}.0" in many["told"]
    assert len(many["asked"]) == len(few["asked"])
    assert few["instructions"] > 10_000
    assert many["instructions"] < 1.2 * few["instructions"]


def test_figures_that_leave_rows_out_say_so_and_never_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST", 3)
    monkeypatch.setattr(metrics, "FRESH", -1.0)
    scrape.fill_calls(3)
    collector = PipelineCollector()
    name, late = (
        'memory_vendor_calls_total{operation="o",outcome="success",vendor="v"}',
        "memory_pipeline_figures_behind",
    )
    assert _told(collector, name) == "3.0"
    assert _told(collector, f'{late}{{rows="calls"}}') == "0.0"
    scrape.fill_calls(4)
    assert _told(collector, name) == "3.0"
    assert _told(collector, f'{late}{{rows="calls"}}') == "1.0"
    assert _told(collector, f'{late}{{rows="runs"}}') == "0.0"
    # A call with an older id that is committed late, and has no end yet, takes the place of one that was told.
    oldest = VendorCall.objects.order_by("id").values_list("pk", flat=True)[0]
    VendorCall.objects.create(pk=oldest - 1, uid="x", step="", fence=0, vendor="v", operation="o", request_key="",
                              started_at=timezone.now())  # fmt: skip
    assert _told(collector, name) == "3.0"
    assert metrics.fold() == 7
    assert _told(collector, name) == "7.0"
    assert _told(collector, f'{late}{{rows="calls"}}') == "0.0"


def test_dead_letters_are_those_that_no_later_run_has_followed() -> None:
    ended: dict[str, Any] = {"state": State.FINISHED, "outcome": "upstream_error", "finished_at": timezone.now()}
    runs = [
        PostProcessingRun.objects.create(
            uid="x", memory_id=str(number), kind="capture", dead_letter=True, follows=None, **ended
        )
        for number in range(3)
    ]
    PostProcessingRun.objects.create(uid="x", memory_id="1", kind="reprocess", follows=runs[1])
    assert [queries.count_dead_letters(most) for most in (1, 2, 3, 100)] == [1, 1, 2, 2]
    assert queries.dead_letters().count() == 2


def test_the_oldest_run_is_found_among_all_that_have_not_ended() -> None:
    assert queries.oldest_age() == 0.0
    for number, state in enumerate((State.WAITING, State.QUEUED)):
        due = timezone.now() if state is State.WAITING else None
        run = PostProcessingRun.objects.create(uid="x", memory_id=str(number), kind="capture", state=state, due_at=due)
        PostProcessingRun.objects.filter(pk=run.pk).update(
            created_at=timezone.now() - timedelta(seconds=100 * (number + 1))
        )
    assert queries.oldest_age() == pytest.approx(200, abs=30)


def _told(collector: PipelineCollector, name: str) -> str:
    registry = CollectorRegistry()
    registry.register(collector)  # type: ignore[arg-type]
    lines = generate_latest(registry).decode().splitlines()
    return next(value for said, _, value in (line.rpartition(" ") for line in lines) if said == name)


def _journals(first: int, last: int) -> None:
    HostJournal.objects.bulk_create(
        HostJournal(session_id=f"s{number}", uid="x", host="gone", changed_at=timezone.now())
        for number in range(first, last)
    )


def _bounded(step: str) -> bool:
    table = step.split()[1]
    index = re.search(r"INDEX (\w+)", step)
    name = index.group(1) if index else ""
    return (
        table in SMALL
        or table == "subquery"  # the rows of a subquery, whose own plan is looked at, too
        or name in OF_WHAT_IS_OPEN
        or name.startswith(NEWEST_FIRST)
    )


def _plan(sql: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        return [str(row[3]) for row in cursor.fetchall()]
