"""What happened to a run is only added to, and tells of every way that it went."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from memories.pipeline import recovery, runner, service
from memories.pipeline.engine import lease
from memories.pipeline.models import PostProcessingRun, RunEvent, StepAttempt
from memories.shapes import Memory
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(memory: Memory) -> PostProcessingRun:
    return service.start("reprocess", UID, MEMORY, actor="test", reason="because")


def happened(run: PostProcessingRun) -> list[str]:
    return list(RunEvent.objects.filter(run=run).order_by("id").values_list("type", flat=True))


def forged(row: models.Model) -> models.Model:
    """The same row under the same key, as new to Django."""
    fields = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    return type(row)(**fields)


CHANGES: dict[str, Callable[[Any], object]] = {
    "an update of the manager": lambda row: type(row).objects.update(id=row.pk),
    "save": lambda row: row.save(),
    "a raw update": lambda row: type(row)._base_manager.filter(pk=row.pk).update(id=row.pk),
    "text": lambda row: connection.cursor().execute(
        f"UPDATE {row._meta.db_table} SET id = %s WHERE id = %s", [row.pk, row.pk]
    ),
    "a new object of the same key": lambda row: models.Model.save(forged(row)),
    "bulk_create": lambda row: type(row)._base_manager.bulk_create(
        [forged(row)], update_conflicts=True, unique_fields=["id"], update_fields=["step"]
    ),
}


@pytest.mark.parametrize("model", [RunEvent, StepAttempt])
@pytest.mark.parametrize("way", CHANGES)
def test_no_way_leads_to_a_change_of_history(run: PostProcessingRun, model: Any, way: str) -> None:
    runner.work(run.pk)
    row = model.objects.first()
    assert row is not None
    with pytest.raises(IntegrityError, match="history_is_only_added_to"), transaction.atomic():
        CHANGES[way](row)


@pytest.mark.parametrize("model", [RunEvent, StepAttempt])
def test_history_goes_with_its_run(run: PostProcessingRun, model: Any) -> None:
    runner.work(run.pk)
    assert model.objects.exists()
    service.forget_user(UID)
    assert not model.objects.exists()


def test_a_plain_run_is_created_and_finished(run: PostProcessingRun) -> None:
    runner.work(run.pk)
    assert happened(run) == ["created", "finished"]
    created = RunEvent.objects.get(run=run, type="created")
    assert (created.actor, created.data["reason"]) == ("test", "because")
    again = service.retry(PostProcessingRun.objects.get(pk=run.pk), actor="support", reason="asked", from_step="index")
    created = RunEvent.objects.get(run=again, type="created")
    assert (created.data["follows"], created.data["from_step"], created.actor) == (run.pk, "index", "support")


def test_waits_takeovers_and_wake_ups_sent_again_are_told(run: PostProcessingRun) -> None:
    fakes.SCRIPT["structurer"] = [fakes.transient("structurer", retry_after=60)]
    assert runner.work(run.pk) == "waiting"
    told = RunEvent.objects.get(run=run, type="suspended")
    assert (told.step, told.data["seconds"] >= 60) == ("structure", True)
    due = timezone.now() - timedelta(minutes=20)
    PostProcessingRun.objects.filter(pk=run.pk).update(due_at=due, task_sent_at=due)
    assert recovery.reconcile().resent == 1
    lost = PostProcessingRun.objects.get(pk=run.pk)
    assert lease.claim(lost, owner="dies") is not None
    PostProcessingRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert runner.work(run.pk) == "finished"
    assert happened(run) == ["created", "suspended", "resent", "reclaimed", "finished"]
    assert RunEvent.objects.get(run=run, type="reclaimed").data["lost_owner"] == "dies"


def test_a_job_that_is_looked_at_again_and_again_is_told_once(memory: Memory, upload: Any, heard: Any) -> None:
    fakes.SCRIPT["first"] = ["pending"] * 4
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    for _ in range(5):
        PostProcessingRun.objects.filter(pk=run.pk, state="waiting").update(due_at=timezone.now())
        runner.work(run.pk)
    assert happened(run).count("suspended") == 1


def test_an_erasure_takes_the_history_on_postgresql_too_and_a_truncate_does_not(postgres_url: str) -> None:
    """The triggers' text on tables of the same names, with the order in which a run is deleted."""
    import psycopg

    from memories.pipeline.models import triggers

    with psycopg.connect(postgres_url, autocommit=True) as database:
        database.execute("CREATE SCHEMA history; SET search_path TO history")
        try:
            for table in (triggers.TABLE, *triggers.HISTORY):
                columns = "id bigint, state text, outcome text, fence bigint, message_id text, finished_at timestamptz"
                database.execute(f"CREATE TABLE {table} ({columns})")  # type: ignore[arg-type]
                database.execute(f"INSERT INTO {table} (id) VALUES (1)")  # type: ignore[arg-type]
            for statement in triggers.statements("postgresql"):
                database.execute(statement)  # type: ignore[arg-type]
            for table in triggers.HISTORY:
                with pytest.raises(psycopg.errors.CheckViolation):
                    database.execute(f"UPDATE {table} SET id = 2")  # type: ignore[arg-type]
                with pytest.raises(psycopg.errors.CheckViolation):
                    database.execute(f"TRUNCATE {table}")  # type: ignore[arg-type]
                assert database.execute(f"DELETE FROM {table}").rowcount == 1  # type: ignore[arg-type]
            with pytest.raises(psycopg.errors.CheckViolation):
                database.execute(f"TRUNCATE {triggers.TABLE}")  # type: ignore[arg-type]
            database.execute("SET omi.may_truncate = 'on'")
            database.execute(f"TRUNCATE {triggers.TABLE}")  # type: ignore[arg-type]
        finally:
            database.execute("DROP SCHEMA history CASCADE")


def test_the_triggers_are_there_after_a_migration() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name")
        names = [name for (name,) in cursor.fetchall()]
    assert len([name for name in names if name.startswith("history_is_only_added_to")]) == 2
