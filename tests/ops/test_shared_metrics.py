"""Counters of processes that nobody scrapes: each is added to the rows, and shown by whichever web server is asked."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from django.db import Error
from prometheus_client import CollectorRegistry, generate_latest

from omi.shared_metrics import counters
from omi.shared_metrics.counters import SharedCollector, SharedCounter
from omi.shared_metrics.models import SharedTotal
from transcription.metrics import SECONDS

pytestmark = pytest.mark.django_db

COUNTER = SharedCounter("test_shared", "Only of this test.", ["kind"])


def scraped() -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(SharedCollector())
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_what_two_processes_counted_adds_up() -> None:
    COUNTER.inc("a", amount=2.5)
    counters.flush()
    assert COUNTER.pending("a") == 0
    SharedTotal.objects.filter(name="test_shared").update(value=10.0)  # another process has added 7.5
    COUNTER.inc("a")
    assert scraped()['test_shared_total{kind="a"}'] == 11.0
    assert scraped()['test_shared_total{kind="a"}'] == 11.0, "a scrape adds nothing twice"


def test_what_could_not_be_written_is_written_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Error("the database is away")

    COUNTER.inc("b", amount=3)
    with monkeypatch.context() as patch:
        patch.setattr(counters, "_add", refuse)
        counters.flush()
        assert COUNTER.pending("b") == 3
    COUNTER.inc("b")
    assert scraped()['test_shared_total{kind="b"}'] == 4.0


def test_a_mistaken_label_cannot_make_series_without_end() -> None:
    wild = SharedCounter("test_wild", "Only of this test.", ["uid"])
    for number in range(2 * counters.MOST_SERIES):
        wild.inc(f"user-{number}")
    series = {name: value for name, value in scraped().items() if name.startswith("test_wild_total")}
    assert len(series) == counters.MOST_SERIES + 1
    assert series['test_wild_total{uid="other"}'] == counters.MOST_SERIES
    assert sum(series.values()) == 2 * counters.MOST_SERIES


def test_series_may_be_told_before_they_count_and_labels_are_cut() -> None:
    begun = SharedCounter("test_begun", "Only of this test.", ["outcome"], begin=[("good",), ("bad",)])
    assert (scraped()['test_begun_total{outcome="good"}'], scraped()['test_begun_total{outcome="bad"}']) == (0.0, 0.0)
    begun.inc("ü" * 500, amount=2)
    assert scraped()[f'test_begun_total{{outcome="{"ü" * counters.LONGEST_LABEL}"}}'] == 2.0


def test_seconds_that_were_counted_before_the_tables_became_one_are_carried_over() -> None:
    """The migration reads the rows of the model that it deletes, whatever was counted in the new table meanwhile."""

    class Total:
        def __init__(self, name: str, label: str, value: float) -> None:
            self.name, self.label, self.value = name, label, value

    class Apps:
        """The models as the migration finds them: the old one is gone from the code."""

        class _Old:
            class objects:
                @staticmethod
                def iterator() -> list[Total]:
                    return [Total("omi_audio_seconds", "silence", 2.5), Total("omi_sessions_recovered", "", 3.0)]

        def get_model(self, app: str, name: str) -> Any:
            return SharedTotal if name == "SharedTotal" else self._Old

    counted = scraped()
    SECONDS.inc("silence", amount=1.0)
    counters.flush()
    importlib.import_module("transcription.migrations.0004_audio_totals_are_shared").carry_over(Apps(), None)
    told = scraped()
    silence, recovered = 'omi_audio_seconds_total{outcome="silence"}', "omi_sessions_recovered_total"
    assert (told[silence] - counted[silence], told[recovered] - counted[recovered]) == (3.5, 3.0)


def test_a_worker_notes_when_it_last_finished_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django-Q2 tells of each task by a signal, in the worker's own process."""
    from django_q.signals import post_execute_in_worker

    monkeypatch.setattr(counters, "_noted_at", 0.0)
    monkeypatch.setattr(counters, "Finalize", lambda *_, **__: None)
    post_execute_in_worker.send(sender="test", task={})
    assert scraped()["omi_worker_last_task_timestamp_seconds"] > 1.7e9
