"""Figures that several processes make and one is asked for, and that never fall."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from memories.pipeline import service
from memories.pipeline.models import FigureTotal, PostProcessingRun, VendorCall
from memories.pipeline.operations.metrics import PipelineCollector
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


def test_the_two_names_of_the_seed_have_their_labels(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    fakes.SCRIPT["first"] = [fakes.permanent()]
    drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    told = scrape.scraped()
    assert "# TYPE memory_postprocessing_duration_seconds histogram" in told
    assert "# TYPE memory_postprocessing_errors_total counter" in told
    assert 'memory_postprocessing_errors_total{outcome="upstream_error",step="transcribe",vendor="first"} 1.0' in told
    assert 'memory_postprocessing_duration_seconds_bucket{le="+Inf",outcome="success",step="prepare_audio"}' in told
