"""What made what is written with every memory, told by ``explain``, and a selection of it is done anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from memories.pipeline import selection, service
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.rules import acceptance
from memories.privacy import erasure
from memories.registry import records
from memories.registry.models import MadeWith
from memories.repository import transcripts
from omi.accounts.users import update_user
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, _fakes, drive, heard, memory, upload

__all__ = ["_fakes", "drive", "heard", "memory", "upload"]


def told(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def test_a_run_says_what_each_part_was_made_with(
    memory: Any, heard: Any, upload: Callable[..., Any], drive: Callable[..., Any], monkeypatch: Any
) -> None:
    update_user(UID, vocabulary=["Grafana"])
    fakes.SCRIPT["first"] = [fakes.words(f"{fakes.TEXT} there")]
    asked = {"emotional_feedback": True}
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload(), options=asked))
    assert run.outcome == "success"
    made = records.of_memory(UID, MEMORY)
    assert {"transcript", "structure", "index", "emotions"} <= set(made)
    measured = run.steps.get(name="emotions").output
    assert (made["emotions"]["provider"], made["emotions"]["model"]) == (measured["vendor"], measured["model"])
    assert (made["transcript"]["provider"], made["transcript"]["model"]) == ("first", "first_model")
    assert made["transcript"]["thresholds"] == records.thresholds_of(acceptance)
    version = transcripts.list_transcripts(UID, MEMORY)["first_model"]
    assert version.meta["made_with"]["thresholds"] == made["transcript"]["thresholds"]
    shown = told("explain", MEMORY)
    assert "transcript made with provider first, model first_model" in shown
    assert f"thresholds {made['structure']['thresholds']}" in shown
    monkeypatch.setattr(acceptance, "MIN_COVERAGE", 0.4)
    assert records.thresholds_of(acceptance) != made["transcript"]["thresholds"]

    # Everything made with it since yesterday, foretold and done.
    since = (timezone.now() - timedelta(days=1)).isoformat()
    foretold = told("reprocess", made_with=["part=structure", f"provider={made['structure']['provider']}"], since=since,
                    dry_run=True)  # fmt: skip
    assert foretold.startswith("1 parts (1 structure); about 0 cannot be done anew")
    assert PostProcessingRun.objects.count() == 1
    assert told("reprocess", made_with=["provider=nobody"], since=since, dry_run=True).startswith("0 parts")
    assert "1 runs were started, 0 passed" in told("reprocess", made_with=["part=structure"], since=since, reason="x")
    again = PostProcessingRun.objects.latest("id")
    assert (again.kind, again.from_step, again.state) == ("reprocess", "structure", "queued")
    assert "0 runs were started, 1 passed" in told("reprocess", made_with=["part=structure"], since=since, reason="x")
    erasure.erase_memory(UID, MEMORY)
    assert records.remaining(UID) == 0


def row(number: int, **more: Any) -> MadeWith:
    fields = {"part": "transcript", "provider": "deepgram", "model": "nova-3", "at": datetime(2026, 11, 5, tzinfo=UTC)}
    return MadeWith.objects.create(uid="u", memory_id=f"m{number}", **{**fields, **more})


@pytest.mark.django_db
def test_a_selection_names_conditions_and_a_time() -> None:
    row(1)
    row(2, model="nova-2")
    row(3, at=datetime(2026, 10, 1, tzinfo=UTC))
    row(4, part="structure")
    asked = selection.Selection({"provider": "deepgram", "model": "nova-3"}, datetime(2026, 11, 1, tzinfo=UTC))
    assert [item.memory_id for item in selection.chosen(asked)] == ["m1", "m4"]
    foretold = selection.forecast(asked)
    assert (foretold.count, foretold.impossible, foretold.by_part) == (2, 2, {"transcript": 1, "structure": 1})
    records.keep("u", "m1", {"transcript": {"provider": "soniox", "model": "stt"}})
    assert [item.memory_id for item in selection.chosen(asked)] == ["m4"]  # what was done anew leaves it
    day = {"since": "2026-11-01"}
    for wrong in (
        {"made_with": ["moon=full"], **day}, {"made_with": ["provider"], **day}, {"made_with": ["provider=x"]},
        {"made_with": ["provider=x"], "since": "yesterday"}, {},
    ):  # fmt: skip
        with pytest.raises(CommandError):
            told("reprocess", dry_run=True, **wrong)
