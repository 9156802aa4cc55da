"""A scrape reads totals and what is not counted yet, however many rows the tables hold; no counter falls by that."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from memories.pipeline import service, tasks
from memories.pipeline.models import FigureTotal, PostProcessingRun, VendorCall
from memories.pipeline.operations import metrics
from memories.shapes import Memory
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID
from tests.pipeline.test_metrics import scraped

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_journals")]
Drive = Callable[..., PostProcessingRun]
THROUGH_A_TABLE = re.compile(r"^SCAN (pipeline_(?!figuretotal|vendorbreaker)|[A-Z]\d )")
"""Of the pipeline, also under an alias (``U0``). The totals and the breakers are as many as labels and vendors."""

OF_WHAT_IS_OPEN = re.compile(r"INDEX (run_not_counted|run_open_age|call_not_counted|run_dead_letters)$")


@pytest.fixture
def ended(memory: Memory, upload: Any, heard: Any, drive: Drive) -> PostProcessingRun:
    """With a failure, and a call that was made again."""
    fakes.SCRIPT["first"] = [fakes.transient(), fakes.words(fakes.TEXT + " then")]
    return drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))


def call(**fields: Any) -> VendorCall:
    given = {"uid": "x", "step": "", "fence": 0, "vendor": "v", "operation": "o", "outcome": "success", "cost": 0.25}
    return VendorCall.objects.create(**{**given, "request_key": "", "started_at": timezone.now(), **fields})


def counters() -> dict[str, float]:
    """All but gauges."""
    return {name: value for name, value in scraped().items() if re.search(r"_(total|bucket|sum|count)(\{|$)", name)}


def test_counting_changes_no_counter_and_is_done_once(ended: PostProcessingRun) -> None:
    before = counters()
    assert len(before) > 50
    calls = VendorCall.objects.count()
    assert tasks.housekeeping()["figures"] == 1 + calls
    assert metrics.figures() == {}, "everything is in the totals"
    assert counters() == pytest.approx(before)
    assert metrics.fold() == 0
    assert counters() == pytest.approx(before)


def test_what_was_counted_is_not_counted_again_when_it_is_erased(ended: PostProcessingRun) -> None:
    before = counters()
    metrics.fold()
    call(uid=UID)  # ended since, and not counted yet
    service.forget_user(UID)
    assert not VendorCall.objects.exists()
    after = counters()
    assert after.pop('memory_vendor_calls_total{operation="o",outcome="success",vendor="v"}') == 1
    assert after.pop('memory_vendor_cost_dollars_total{vendor="v"}') == 0.25
    assert after == pytest.approx(before)


def test_the_rows_that_a_scrape_reads_do_not_grow_with_the_tables(ended: PostProcessingRun) -> None:
    """No plan goes through a table of the pipeline, and what is not counted yet is all that the indexes hold."""
    VendorCall.objects.bulk_create([_old() for _ in range(2500)], batch_size=500)
    assert metrics.fold() > 2500
    call()
    assert VendorCall.objects.filter(counted=False).count() == 1
    with CaptureQueriesContext(connection) as captured:
        told = scraped()
        metrics.fold()
    assert told['memory_vendor_calls_total{operation="o",outcome="success",vendor="v"}'] == 2501
    asked = [query["sql"] for query in captured if query["sql"].startswith("SELECT")]
    plans = [plan for sql in asked for plan in _plan(sql)]
    assert [plan for plan in plans if "call_not_counted" in plan]
    assert [plan for plan in plans if "run_not_counted" in plan]
    assert [plan for plan in plans if THROUGH_A_TABLE.match(plan) and not OF_WHAT_IS_OPEN.search(plan)] == []
    assert [sql for sql in asked if "'finished'" in sql] == [], "an index on the state holds all that ended"


def _old() -> VendorCall:
    return VendorCall(uid="x", step="", fence=0, vendor="v", operation="o", outcome="success", request_key="",
                      started_at=timezone.now())  # fmt: skip


def _plan(sql: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        return [str(row[3]) for row in cursor.fetchall()]


def test_a_call_that_is_out_is_counted_when_it_has_ended(memory: Memory) -> None:
    out = call(outcome="", cost=0.0)
    assert metrics.fold() == 0
    assert "memory_vendor_calls" not in {labels[0] for labels in metrics._all_figures()}
    VendorCall.objects.filter(pk=out.pk).update(outcome="success", cost=0.5)
    assert metrics._all_figures()["memory_vendor_calls", "v", "o", "success"] == 1
    assert metrics.fold() == 1
    assert metrics._all_figures()["memory_vendor_calls", "v", "o", "success"] == 1
    assert metrics._all_figures()["memory_vendor_cost_dollars", "v"] == 0.5


def test_a_call_without_an_end_stays_counted_as_unknown(memory: Memory) -> None:
    lost = call(outcome="", cost=0.0, started_at=timezone.now() - metrics.LONGEST_CALL - timedelta(hours=1))
    assert metrics.fold() == 1
    VendorCall.objects.filter(pk=lost.pk).update(outcome="success")
    assert metrics._all_figures()["memory_vendor_calls", "v", "o", "unknown"] == 1


def test_a_run_that_has_not_ended_shows_its_attempts_and_is_not_counted(
    memory: Memory, upload: Any, heard: Any
) -> None:
    from memories.pipeline import runner

    fakes.SCRIPT["first"] = [fakes.transient()]
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    assert runner.work(run.pk) == "waiting"
    name = 'memory_postprocessing_errors_total{outcome="upstream_error",step="transcribe",vendor="first"}'
    assert scraped()[name] == 1
    metrics.fold()
    run.refresh_from_db()
    assert not run.counted
    assert scraped()[name] == 1


def test_a_scrape_between_whose_reads_rows_are_counted_reads_again(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        call()
    real = metrics.figures

    def meanwhile() -> metrics.Figures:
        found = real()
        metrics.fold()
        return found

    monkeypatch.setattr(metrics, "figures", meanwhile)
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "READ_TRIES", 1)
        assert scraped() == {"memory_pipeline_metrics_up": 0}, "no figures rather than wrong ones"
    call()
    monkeypatch.setattr(metrics, "PIECES", 1)
    quiet = iter([meanwhile])
    monkeypatch.setattr(metrics, "figures", lambda: next(quiet, real)())
    assert metrics._all_figures()["memory_vendor_calls", "v", "o", "success"] == 4


@pytest.mark.django_db(transaction=True)
def test_processes_that_count_at_once_count_every_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "PIECE", 7)
    for _ in range(60):
        call()
    start, done, errors = threading.Barrier(3), [0, 0, 0], []

    def count(number: int) -> None:
        try:
            start.wait(60)
            done[number] = metrics.fold()
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=count, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (errors, sum(done)) == ([], 60)
    total = FigureTotal.objects.get(key='["memory_vendor_calls", "v", "o", "success"]')
    assert total.value == 60
    assert metrics._all_figures()["memory_vendor_cost_dollars", "v"] == 15.0
