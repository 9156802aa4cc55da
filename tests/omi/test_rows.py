"""``omi.core.rows`` writes and reads what the ORM writes and reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from memories.pipeline.models import PostProcessingRun, RunStep, StepArtifact, VendorCall
from memories.pipeline.states import State, StepState
from memories.user_events.models import UserEvent
from omi.core import rows
from omi.stores.models import AudioObject, LocalDocument

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


def run(**more: Any) -> PostProcessingRun:
    return PostProcessingRun.objects.create(
        uid="user", memory_id=str(more.pop("memory_id", "m")), kind="reprocess", actor="t", **more
    )


def test_a_row_that_was_inserted_reads_as_the_orm_reads_it() -> None:
    made = PostProcessingRun(
        uid="ü", memory_id="m", kind="capture", actor="t", options={"a": [1, None, "é"]}, plan=["x"], wake_at=None,
        state=State.QUEUED, started_at=NOW,
    )  # fmt: skip
    rows.insert([made])
    assert made.pk is not None
    stored = PostProcessingRun.objects.get()
    [read] = rows.instances(PostProcessingRun, {"id": made.pk})
    for field in PostProcessingRun._meta.concrete_fields:
        assert getattr(read, field.attname) == getattr(stored, field.attname), field.name
    assert (stored.options, stored.started_at, stored.held) == ({"a": [1, None, "é"]}, NOW, False)
    assert stored.created_at == made.created_at
    assert not made._state.adding


def test_an_update_tells_how_many_rows_fulfilled_the_conditions() -> None:
    one = run()
    assert rows.update(PostProcessingRun, {"actor": "x"}, {"id": one.pk, "state": State.QUEUED, "wake_at": None}) == 1
    assert rows.update(PostProcessingRun, {"actor": "y"}, {"id": one.pk, "state": State.RUNNING}) == 0
    assert rows.update(PostProcessingRun, {"actor": "y"}, {"id": one.pk, "fence__lt": 0}) == 0
    values = {"options": {"k": 1}, "started_at": NOW, "lease_until": None, "cancel_requested": True}
    assert rows.update(PostProcessingRun, values, {"id": one.pk, "fence__lte": 0}) == 1
    one.refresh_from_db()
    assert (one.actor, one.options, one.started_at, one.cancel_requested) == ("x", {"k": 1}, NOW, True)


def test_conditions_compare_as_the_orm_does() -> None:
    ids = [run(memory_id=number, started_at=NOW + timedelta(seconds=number)).pk for number in range(4)]
    found = rows.select(PostProcessingRun, ("id",), {"started_at__gt": NOW, "id__in": ids[:3]}, order="-id")
    assert [row[0] for row in found] == [ids[2], ids[1]]
    assert rows.select(PostProcessingRun, ("id",), {"id__in": []}) == []
    assert rows.select(PostProcessingRun, ("id", "started_at"), {"uid": "user"}, order="id", limit=1) == [[ids[0], NOW]]
    assert rows.exists(PostProcessingRun, {"started_at": NOW})
    assert not rows.exists(PostProcessingRun, {"finished_at__gt": NOW})


def test_a_row_that_is_there_takes_the_new_ones_values_where_that_is_asked_for() -> None:
    step = RunStep.objects.create(run=run(), name="structure", position=0)
    for sha, body in [("a", b"\x00\xff"), ("b", b"two")]:
        made = [StepArtifact(step=step, name=name, sha256=sha, body=body) for name in ("words", "segments")]
        rows.insert(made, unique=("step", "name"))
    stored = StepArtifact.objects.order_by("name")
    assert [(item.name, item.sha256, bytes(item.body)) for item in stored] == [
        ("segments", "b", b"two"), ("words", "b", b"two")
    ]  # fmt: skip
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.insert([StepArtifact(step=step, name="words", sha256="c", body=b"")])


def test_keys_that_are_given_are_kept_and_statements_of_other_values_do_not_mix() -> None:
    document = LocalDocument(path="a/b", collection="a", body="{}", version=1, created_at=NOW, updated_at=NOW)
    rows.insert([document])
    assert LocalDocument.objects.get(pk="a/b").created_at == NOW
    for number in range(3):
        rows.insert([AudioObject(name=f"n{number}", uid="u", purpose="upload", created_at=NOW)])
    assert AudioObject.objects.count() == 3
    assert rows.update(AudioObject, {"deleted_at": NOW}, {"uid": "u", "deleted_at": None}) == 3
    assert rows.update(AudioObject, {"deleted_at": None}, {"uid": "u", "deleted_at": NOW}) == 3


def test_state_words_and_numbers_keep_their_types() -> None:
    one = run()
    step = RunStep.objects.create(run=one, name="structure", position=0)
    rows.update(
        RunStep, {"state": StepState.DONE, "outcome": "success", "seconds": 1.25}, {"id": step.pk, "run": one.pk}
    )
    [read] = rows.instances(RunStep, {"run": one.pk}, order="position")
    assert (read.state, read.seconds, read.run_id, read.output) == ("done", 1.25, one.pk, {})
    call = VendorCall(run=one, step="structure", fence=1, vendor="v", operation="o", request_key="k", started_at=NOW)
    rows.insert([call])
    assert VendorCall.objects.get(pk=call.pk).latency is None


def test_a_row_that_is_to_be_there_once_stays_as_it_is() -> None:
    event = {"uid": "u", "type": "t", "dedupe_key": "once"}
    assert rows.insert([UserEvent(number=1, payload={"first": True}, **event)], once=("uid", "dedupe_key")) == 1
    assert rows.insert([UserEvent(number=2, payload={}, **event)], once=("uid", "dedupe_key")) == 0
    assert [(item.number, item.payload) for item in UserEvent.objects.all()] == [(1, {"first": True})]
    without_key = {**event, "dedupe_key": None}
    written = [rows.insert([UserEvent(number=number, **without_key)], once=("uid", "dedupe_key")) for number in (3, 4)]
    assert written == [1, 1]


def test_deleting_tells_how_many_rows_went() -> None:
    for number in range(3):
        rows.insert([AudioObject(name=f"n{number}", uid="u", purpose="upload", created_at=NOW)])
    assert rows.delete(AudioObject, {"name__in": ["n0", "n1"], "uid": "u"}) == 2
    assert rows.delete(AudioObject, {"name": "n0"}) == 0
    assert [item.name for item in AudioObject.objects.all()] == ["n2"]
