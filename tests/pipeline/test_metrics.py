"""Figures that several processes make and one is asked for, and that never fall."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest

from memories.pipeline import service
from memories.pipeline.engine import retry_policy
from memories.pipeline.models import FigureTotal, PostProcessingRun, VendorBreaker, VendorCall
from memories.pipeline.operations.metrics import PipelineCollector
from memories.pipeline.vendor_calls import circuit_breaker
from memories.shapes import Memory
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID
from tests.support import scrape

pytestmark = pytest.mark.django_db
Drive = Callable[..., PostProcessingRun]


def scraped() -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(PipelineCollector())
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_no_counter_falls_when_a_user_is_erased(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    """Prometheus takes a counter that falls for a restart, and counts everything again: alerts would fire."""
    fakes.SCRIPT["first"] = [fakes.transient(), fakes.words(fakes.TEXT + " then")]
    drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload(seed=2)))
    before = scraped()
    assert before['memory_postprocessing_errors_total{outcome="upstream_error",step="transcribe",vendor="first"}'] == 1
    service.forget_user(UID)
    assert not VendorCall.objects.exists()
    counters = {name for name in before if re.search(r"_(total|bucket|sum|count)(\{|$)", name)}
    assert len(counters) > 50
    after = scraped()
    assert {name: after[name] for name in counters} == pytest.approx({name: before[name] for name in counters})
    assert not FigureTotal.objects.filter(key__contains=UID).exists()
    service.forget_user(UID)
    assert scraped()["memory_vendor_calls_doubled_total"] == before["memory_vendor_calls_doubled_total"]


@pytest.mark.parametrize(
    ("reason", "minutes", "held"),
    [("transient", 1, 1), ("transient", -4, 1), ("transient", -6, 0), ("by hand", -6, 0), ("quota", -600, 1)],
)
def test_a_breaker_that_nobody_has_met_since_its_time_was_over_holds_nothing_back(
    reason: str, minutes: int, held: int
) -> None:
    """Only a call closes it. One that opened at 23:00 paged at 23:10, though the vendor was well and nobody talked."""
    until = timezone.now() + timedelta(minutes=minutes)
    VendorBreaker.objects.create(vendor="first", failures=5, open=True, reason=reason, retry_at=until)
    assert scraped()[f'memory_vendor_breaker_open{{reason="{reason}",vendor="first"}}'] == held


def test_a_breaker_whose_vendor_stays_away_holds_calls_back_from_one_try_to_the_next() -> None:
    """Whoever is refused comes back within five minutes, and fails: an outage goes on being told."""
    for _ in range(circuit_breaker.FAILURES):
        circuit_breaker.failed(fakes.transient())
    VendorBreaker.objects.update(retry_at=timezone.now() - timedelta(seconds=retry_policy.LONGEST - 10))
    told = 'memory_vendor_breaker_open{reason="transient",vendor="first"}'
    assert scraped()[told] == 1
    assert circuit_breaker.admit("first"), "the one call that is let through"
    circuit_breaker.failed(fakes.transient())
    assert scraped()[told] == 1
    assert VendorBreaker.objects.get().retry_at > timezone.now()
    circuit_breaker.succeeded("first")
    assert 'memory_vendor_breaker_open{reason="-",vendor="first"}' in scraped()


def test_the_two_names_of_the_seed_have_their_labels(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    fakes.SCRIPT["first"] = [fakes.permanent()]
    drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    told = scrape.scraped()
    assert "# TYPE memory_postprocessing_duration_seconds histogram" in told
    assert "# TYPE memory_postprocessing_errors_total counter" in told
    assert 'memory_postprocessing_errors_total{outcome="upstream_error",step="transcribe",vendor="first"} 1.0' in told
    assert 'memory_postprocessing_duration_seconds_bucket{le="+Inf",outcome="success",step="prepare_audio"}' in told
