"""Calls that were under way when this version was installed: the migration gives each its one record."""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from memories.pipeline import runner
from memories.pipeline.models import PostProcessingRun, RunStep, StepArtifact, VendorCall
from tests.pipeline import fakes
from tests.pipeline.late import Begin, Gate, answers, at_work, begin, due, gate, pending, suspend

__all__ = ["begin", "gate"]
pytestmark = pytest.mark.django_db(transaction=True)


def as_before(run: PostProcessingRun, call: VendorCall) -> RunStep:
    """The call as the version before wrote it: named by the checkpoint, its answer beside the step's results."""
    step = at_work(run)
    until = (call.deadline or timezone.now()).timestamp()
    named = {"id": "a1", "key": call.request_key, "vendor": call.vendor, "owner": call.owner, "limit": call.limit}
    step.checkpoint = {**step.checkpoint, "call": {**named, "until": until, "lost": 0}}
    step.save()
    if call.answer is not None:
        StepArtifact.objects.create(step=step, name="call:a1", sha256="", body=bytes(call.answer))
    VendorCall.objects.filter(pk=call.pk).update(owner="", deadline=None, limit=0.0, answer=None)
    return step


def migrate() -> None:
    importlib.import_module("memories.pipeline.migrations.0007_one_record_of_a_call").carry_over(apps, None)


def test_an_answer_that_lay_beside_the_step_is_used_and_nobody_is_asked_again(begin: Begin, gate: Gate) -> None:
    run = begin("structure", gate())
    suspend(run)
    gate.answers()
    step = as_before(run, answers()[0])
    migrate()
    step.refresh_from_db()
    assert "call" not in step.checkpoint
    assert not StepArtifact.objects.filter(name__startswith="call:").exists()
    assert runner.work(run.pk) == "finished"
    assert fakes.count("structurer", "structure") == 1
    assert not VendorCall.objects.filter(duplicate=True).exists()


def test_a_call_that_was_pending_is_still_waited_for(begin: Begin, gate: Gate) -> None:
    run = begin("structure", gate())
    suspend(run)
    before = pending()
    as_before(run, before)
    migrate()
    now = pending()
    assert (now.owner, now.limit) == (before.owner, before.limit)
    assert now.deadline == pytest.approx(before.deadline, abs=timedelta(seconds=1))
    due(run)
    suspend(run)
    assert fakes.count("structurer", "structure") == 1


@pytest.mark.parametrize("named", [{}, {"id": "gone", "key": "of nothing"}, None])
def test_what_names_no_call_is_left_out(begin: Begin, named: Any) -> None:
    run = begin()
    run.steps.filter(name="structure").update(checkpoint={"call": named, "failures": {}})
    migrate()
    assert run.steps.get(name="structure").checkpoint == {"failures": {}}
