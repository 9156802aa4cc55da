"""Newcomers are refused while there is no room, those who are here are not; a gate opens when it is clearly better."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as now_set
from django.db import DatabaseError
from django.utils import timezone

from memories.pipeline.engine import queue
from omi.serving import admission
from omi.serving.admission import DATABASE, DISK, Gate
from transcription.listen import connection_limits
from transcription.listen.authentication import Refused


@pytest.fixture(autouse=True)
def open_gates() -> Iterator[None]:
    yield
    for gate in admission.gates():
        gate.open()
    connection_limits._left.clear()


class Loads:
    """A measure that says what it is told to."""

    def __init__(self, *loads: float | Exception) -> None:
        self.left = list(loads)

    def __call__(self) -> float:
        said = self.left.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


def shut_after_each(gate: Gate, loads: Loads) -> list[bool]:
    found = []
    while loads.left:
        gate.look()
        found.append(gate.shut)
    return found


def test_a_gate_shuts_at_its_limit_and_opens_when_it_is_clearly_better() -> None:
    loads = Loads(0.99, 1.0, 0.9, 0.81, 0.79, 0.9)
    assert shut_after_each(Gate("of_a_test", "No.", loads), loads) == [False, True, True, True, False, False]


def test_one_slow_answer_shuts_nothing_and_an_error_changes_nothing() -> None:
    loads = Loads(5.0, 5.0, 0.1, 5.0, 5.0, DatabaseError(), 5.0, OSError(), 0.1)
    shut = shut_after_each(Gate("of_a_test", "No.", loads, patience=3), loads)
    assert shut == [False] * 6 + [True, True, False]


@pytest.mark.django_db
def test_a_slow_database_shuts_its_gate(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    admission.look()
    assert not DATABASE.shut
    clock = iter(range(0, 1000, 4))  # every read takes four seconds
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    for _ in range(3):
        assert not DATABASE.shut
        DATABASE.look()
    assert DATABASE.shut
    settings.OMI_ADMIT_DATABASE_SECONDS = 0
    DATABASE.look()
    assert not DATABASE.shut


@pytest.mark.django_db
def test_work_that_no_worker_takes_shuts_the_queues_gate(settings: Any) -> None:
    queue.wake(1)
    age = now_set.OMI_ADMIT_QUEUE_SECONDS + 60
    queue.messages().update(lock=timezone.now() - timedelta(seconds=age))
    assert [gate.refusal.code for gate in admission.look()] == ["queue_too_old"]
    queue.messages().update(lock=timezone.now() + timedelta(hours=1))  # taken, or not due yet
    assert admission.look() == []


def test_an_upload_that_would_not_fit_is_refused_though_others_are_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def disk(place: object) -> Any:
        return type("Usage", (), {"total": 100 * 1024**3, "free": now_set.OMI_ADMIT_FREE_BYTES + 1000})

    monkeypatch.setattr(admission.shutil, "disk_usage", disk)
    assert admission._disk_load(2000) >= 1.0
    assert admission._disk_load(10**12) == math.inf
    assert admission.refusal("upload", 500) is None
    refused = admission.refusal("upload", 2000)
    assert refused is not None
    assert refused.code == "disk_nearly_full"


class Socket:
    last_message = 0.0

    def give_way(self) -> None: ...


def test_a_client_comes_back_to_its_conversation_and_a_new_one_is_refused(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "_disk_looked", time.monotonic() + 60)
    first: Any = Socket()
    connection_limits.take_slot("here", first)
    DISK.shut = True
    with pytest.raises(Refused) as told:
        connection_limits.take_slot("new", Socket())  # type: ignore[arg-type]
    assert (told.value.reason, told.value.later) == ("disk_nearly_full", True)
    connection_limits.leave_slot("here", first)
    connection_limits.take_slot("here", first)  # the network was lost
    connection_limits.leave_slot("here", first)
    settings.OMI_GAP_SECONDS = 0.0  # the conversation is over
    with pytest.raises(Refused):
        connection_limits.take_slot("here", first)
    assert connection_limits.users() == []
