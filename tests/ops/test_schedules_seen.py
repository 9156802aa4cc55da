"""When the work of each schedule last succeeded is told, also of one that never did; a failure is no success."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler
from django_q.signals import post_execute_in_worker
from django_q.signing import SignedPackage
from prometheus_client import CollectorRegistry, generate_latest

from memories import upkeep
from memories.console import schedules as console
from memories.experiments import upkeep as experiments
from memories.insights import figures
from memories.learning import upkeep as learning
from memories.models import MemoryRow
from memories.passages.models import IndexedMemory
from memories.pipeline import tasks
from memories.pipeline.operations import schedules as pipeline
from memories.privacy import erasure
from memories.repository import memories
from memories.reshaping import working
from memories.shapes import Memory
from omi.core.errors import ErrorKind, ProviderError
from omi.shared_metrics import schedules
from omi.shared_metrics.collectors import RowCollector
from omi.shared_metrics.models import SharedTotal
from omi.stores import audio

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_journals")]
LONG_AGO = 1_000_000.0


def told() -> dict[tuple[str, str], float]:
    """(metric, schedule) to value, as a scrape has them."""
    registry = CollectorRegistry()
    registry.register(RowCollector(schedules.families))
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    parts = [line.rpartition(" ") for line in lines]
    return {(name.split("{")[0], name.split('"')[1]): float(value) for name, _, value in parts}


def last(schedule: str) -> float:
    return told()[schedules.LAST_SUCCESS, schedule]


@pytest.fixture
def long_ago() -> None:
    """Every schedule succeeded last in 1970."""
    SharedTotal.objects.filter(name=schedules.LAST_SUCCESS).update(value=LONG_AGO)


def ended(schedule: str, **task: object) -> None:
    """A worker has ended a task that this schedule sent."""
    post_execute_in_worker.send(sender="test", func=None, task={"group": schedule, **task})


def refuse(*_: Any, **__: Any) -> Any:
    raise ProviderError("audio", "away", kind=ErrorKind.TRANSIENT, code="503")


def test_every_schedule_of_the_code_has_figures_as_soon_as_it_is_there() -> None:
    """One that never succeeds would have none else, and no alert can be about a series that is not there."""
    found = told()
    names = set(Schedule.objects.values_list("name", flat=True))
    assert {schedule for name, schedule in found if name == schedules.PERIOD and "/" not in schedule} == names
    parts = {f"housekeeping/{part}" for part in pipeline.PARTS}
    assert {schedule for _, schedule in found if "/" in schedule} == parts
    assert all(found[schedules.LAST_SUCCESS, name] > 1.7e9 for name in names | parts)
    assert found[schedules.PERIOD, "housekeeping/audio"] == found[schedules.PERIOD, "housekeeping"] == 300
    assert found[schedules.PERIOD, "learn"] == 24 * 3600


@pytest.mark.usefixtures("long_ago")
def test_only_a_success_of_the_schedules_own_task_counts() -> None:
    for task in ({"success": False}, {}, {"success": None}):
        ended("make recaps", **task)
    post_execute_in_worker.send(sender="test", func=None, task={"success": True})  # of no schedule
    ended("of an operator", success=True)
    assert last("make recaps") == LONG_AGO
    ended("make recaps", success=True)
    assert last("make recaps") > 1.7e9
    assert last("count insights") == LONG_AGO
    assert ("omi_schedule_period_seconds", "of an operator") not in told()


def test_django_q_sends_a_schedules_task_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own scheduler, queue and signing: what reaches a worker has the name where ``after_task`` looks for it."""
    Schedule.objects.exclude(name="console: wake replays").update(next_run=timezone.now() + timedelta(hours=1))
    monkeypatch.setattr("django_q.scheduler.close_old_django_connections", lambda: None)  # the test's own is one
    scheduler()
    (row,) = OrmQ.objects.all()
    assert SignedPackage.loads(row.payload)["group"] == "console: wake replays"


@pytest.mark.usefixtures("long_ago")
def test_what_an_operator_took_away_or_changed_is_told_as_it_is() -> None:
    Schedule.objects.filter(name="make recaps").delete()
    Schedule.objects.filter(name="count insights").update(repeats=0)
    Schedule.objects.filter(name="learn").update(schedule_type=Schedule.WEEKLY)
    Schedule.objects.filter(name="housekeeping").update(schedule_type=Schedule.CRON, cron="1 1 * * *")
    Schedule.objects.filter(name="index words").update(minutes=30)
    found = told()
    gone = ("make recaps", "count insights", "housekeeping", "housekeeping/audio")
    assert not [key for key in found if key[1] in gone]
    assert (found[schedules.PERIOD, "learn"], found[schedules.PERIOD, "index words"]) == (7 * 24 * 3600, 1800)
    upkeep.ensure_schedules()  # it is there again, and not overdue since 1970
    assert last("make recaps") > 1.7e9
    assert last("index words") == LONG_AGO, "a new start of the servers is no success"


def test_an_upgrade_begins_now(long_ago: None) -> None:
    """The schedules have been there for years, their figures not."""
    SharedTotal.objects.filter(name=schedules.LAST_SUCCESS).delete()
    assert told() == {}
    for ensure in (upkeep.ensure_schedules, pipeline.ensure, console.ensure, experiments.ensure_schedules,
                   learning.ensure_schedules):  # fmt: skip
        ensure()
    assert len(told()) == 2 * (Schedule.objects.count() + len(pipeline.PARTS))
    assert min(value for (name, _), value in told().items() if name == schedules.LAST_SUCCESS) > 1.7e9


@pytest.mark.usefixtures("long_ago")
def test_of_housekeeping_each_part_is_told_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task itself succeeds whatever becomes of its parts."""
    audio.put("ana", "upload", b"voice", memory_id="m", keep_for=timedelta(seconds=-1))
    with monkeypatch.context() as patch:
        patch.setattr(audio, "delete", refuse)
        patch.setattr(tasks.metrics, "fold", refuse)
        assert tasks.housekeeping()["audio"] == -1
    assert {json.loads(label)[0] for label in SharedTotal.objects.filter(
        name=schedules.LAST_SUCCESS, value=LONG_AGO, labels__contains="housekeeping/").values_list("labels", flat=True)
    } == {"housekeeping/audio", "housekeeping/figures"}  # fmt: skip
    assert tasks.housekeeping()["audio"] == 1
    assert last("housekeeping/audio") > 1.7e9


def test_audio_that_cannot_be_deleted_keeps_no_other_and_fails_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        audio.put("ana", "upload", b"voice", memory_id=str(number), keep_for=timedelta(seconds=-1))
    delete: Callable[[Any], int] = audio.delete
    monkeypatch.setattr(audio, "delete", lambda row: refuse() if row.memory_id == "0" else delete(row))
    with pytest.raises(ProviderError):
        audio.sweep_expired()
    assert [row.memory_id for row in audio.for_user("ana")] == ["0"]


def test_an_erasure_that_cannot_be_begun_fails_the_schedule_after_all_others(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no receipt yet, so that ErasureOpen cannot see it."""
    settings.OMI_RESTORE_DAYS = 7
    for identity in ("kept", "gone"):
        memories.create_memory("ana", Memory(id=identity, created_at=timezone.now()))
        erasure.erase_memory("ana", identity)
    MemoryRow.objects.update(deleted_at=datetime.now(UTC) - timedelta(days=8))
    glance, expired = memories.glance, []
    monkeypatch.setattr(memories, "glance", lambda uid, name: refuse() if name == "kept" else glance(uid, name))
    monkeypatch.setattr(working, "expire", lambda: expired.append(1) or 0)
    with pytest.raises(ProviderError):
        upkeep.erasures()
    assert list(MemoryRow.objects.values_list("memory_id", flat=True)) == ["kept"]
    assert expired == [1]


def test_insights_of_which_not_one_could_be_counted_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    for identity in ("a", "b"):
        IndexedMemory.objects.create(uid="ana", memory_id=identity, created_at=now, next_at=now, insights_due=True)
    with monkeypatch.context() as patch:
        patch.setattr(figures, "_refresh", refuse)
        with pytest.raises(ProviderError):
            upkeep.insights()
    refused = iter([refuse, lambda *_: None])
    monkeypatch.setattr(figures, "_refresh", lambda *words: next(refused)(*words))
    assert upkeep.insights() == 2
