"""The sections of a template are a second question of the step that makes the summary; neither is paid for twice."""

from __future__ import annotations

import pytest

from memories import editing
from memories.pipeline import runner
from memories.pipeline.models import VendorCall
from memories.repository import memories as repository
from memories.shapes import Memory
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID
from tests.pipeline.late import Begin, Gate, at_work, begin, gate, suspend

__all__ = ["begin", "gate"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_that_waits_for_the_sections_keeps_the_summary_that_was_paid_for(begin: Begin, gate: Gate) -> None:
    run = begin()
    editing.set_template(UID, MEMORY, "meeting")
    fakes.SCRIPT["fill"] = [gate()]
    suspend(run)
    assert at_work(run).name == "structure"
    assert at_work(run).checkpoint["made"]["structured"]["title"]
    gate.answers()
    assert runner.work(run.pk) == "finished"
    assert (fakes.count("structurer", "structure"), fakes.count("structurer", "fill")) == (1, 1)
    assert not VendorCall.objects.filter(duplicate=True).exists()
    now = repository.get_memory(UID, MEMORY).structured
    assert now.template is not None
    assert (now.template.id, now.template.method) == ("meeting", "fake-llm")
    assert [len(section.points) for section in now.sections] == [1, 1, 1, 1]
    assert run.steps.get(name="structure").checkpoint == {}
    cost = VendorCall.objects.get(operation="sections")
    assert (cost.input_tokens, cost.output_tokens, float(cost.cost)) == (30, 10, 0.0005)


def test_without_a_template_nobody_is_asked(begin: Begin, memory: Memory) -> None:
    run = begin()
    assert runner.work(run.pk) == "finished"
    assert fakes.count("structurer", "fill") == 0
    assert repository.get_memory(UID, MEMORY).structured.sections == []
