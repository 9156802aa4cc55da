"""Calls that go leave their figures in the month in which they were made; what was counted before the months stays."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import Q
from django.utils import timezone

from memories.pipeline.models import FigureTotal, MonthlyCallFigures, VendorCall
from memories.pipeline.operations import metrics, months, retention

pytestmark = pytest.mark.django_db


def call(month: int, day: int = 15, **fields: Any) -> VendorCall:
    at = datetime(2026, month, day, tzinfo=UTC)
    given = {"uid": "x", "step": "", "fence": 0, "vendor": "v", "operation": "o", "outcome": "success", "cost": 0.25}
    return VendorCall.objects.create(**{**given, "request_key": "", "audio_seconds": 60.0, "started_at": at, **fields})


def printed() -> list[dict[str, Any]]:
    out = StringIO()
    call_command("retention", "--months", "--json", stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_calls_are_folded_into_the_month_in_which_they_were_made() -> None:
    call(8, 1)
    call(8, 31, outcome="quota", cost=0.0)
    call(9, duplicate=True)
    call(9, vendor="w", audio_seconds=0.0)
    assert months.report() == []
    assert metrics.fold() == 4
    assert metrics.fold() == 0
    assert [(line.month, line.vendor, line.calls, line.audio_seconds, line.cost) for line in months.report()] == [
        (date(2026, 8, 1), "v", 2, 120.0, 0.25),
        (date(2026, 9, 1), "v", 1, 60.0, 0.25),
        (date(2026, 9, 1), "w", 1, 0.0, 0.25),
    ]
    rows = MonthlyCallFigures.objects.values_list("month", "vendor", "outcome", "calls", "duplicates")
    assert (date(2026, 9, 1), "v", "success", 1, 1) in rows
    assert (date(2026, 8, 1), "v", "quota", 1, 0) in rows


def test_retention_takes_the_rows_and_leaves_their_months_once(settings: Any) -> None:
    settings.OMI_RUN_KEEP_DAYS = 1
    call(8)
    metrics.fold()  # one was counted before it goes, the other goes with the pass
    call(8)
    call(9, outcome="")
    assert retention.prune().calls == 3
    assert not VendorCall.objects.exists()
    assert [(line["month"], line["calls"], line["cost"]) for line in printed()] == [
        ("2026-08", 2, 0.5),
        ("2026-09", 1, 0.25),
    ]
    assert MonthlyCallFigures.objects.get(month=date(2026, 9, 1)).outcome == "unknown"


def test_erasing_a_users_calls_keeps_their_months() -> None:
    call(8)
    metrics.keep_calls(Q(uid="x"))
    assert [line.calls for line in months.report()] == [1]


def test_what_was_counted_without_a_month_is_told_as_before() -> None:
    for key, value in (
        (("memory_vendor_calls", "v", "o", "success"), 40),
        (("memory_vendor_audio_seconds", "v"), 7200),
        (("memory_vendor_cost_dollars", "v"), 12.5),
    ):
        FigureTotal.objects.create(key=json.dumps(key), value=value)
    call(9)
    metrics.fold()
    assert [(line["month"], line["calls"], line["audio_seconds"], line["cost"]) for line in printed()] == [
        ("before", 40, 7200.0, 12.5),
        ("2026-09", 1, 60.0, 0.25),
    ]
    out = StringIO()
    call_command("retention", "--months", stdout=out)
    assert out.getvalue().splitlines()[0] == "before v: 40 calls, 2.0 h of audio, 12.50 $."


def test_counters_are_what_they_were_with_months(settings: Any) -> None:
    call(8, started_at=timezone.now())
    metrics.fold()
    assert metrics._all_figures()["memory_vendor_cost_dollars", "v"] == 0.25
