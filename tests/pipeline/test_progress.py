"""Percent and time left: from this installation's own measurements, scaled by the length of the recording."""

from __future__ import annotations

from typing import Any

import pytest

from memories.pipeline import queries, service, status
from memories.pipeline.models import PostProcessingRun, RunStep
from memories.shapes import Memory
from tests.pipeline.conftest import UID

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "_measured", {"until": 0.0, "seconds": {}, "audio": 60.0})


def past(memory_id: str, audio: float, seconds: float) -> None:
    """A run that is over: transcribing ``audio`` seconds took ``seconds``."""
    run = service.start("postprocess", UID, memory_id, actor="test")
    run.steps.filter(name="prepare_audio").update(
        state="done", outcome="success", seconds=1.0, output={"seconds": audio}
    )
    run.steps.filter(name="transcribe").update(state="done", outcome="success", seconds=seconds)


def test_an_hour_takes_longer_than_a_minute(db: None) -> None:
    for number in range(3):
        past(f"memory-{number}", audio=60.0, seconds=30.0)
    short, long = queries.step_seconds(60.0), queries.step_seconds(3600.0)
    assert short["transcribe"] == pytest.approx(30.0)
    assert long["transcribe"] == pytest.approx(30.0 * (0.2 + 0.8 * 60))
    assert long["structure"] == short["structure"], "the language model reads text, not seconds"


def test_a_mean_over_recordings_of_unknown_length_is_not_used(db: None) -> None:
    past("memory-1", audio=3600.0, seconds=1800.0)
    assert queries.step_seconds(60.0)["transcribe"] == pytest.approx(queries.DEFAULT_SECONDS["transcribe"])


def test_the_time_left_is_of_this_recording(memory: Memory) -> None:
    run: Any = service.start("postprocess", UID, memory.id, actor="test")
    before = status.document(run)["eta_seconds"]
    RunStep.objects.filter(run=run, name="prepare_audio").update(
        state="done", outcome="success", output={"seconds": 6000.0}
    )
    PostProcessingRun.objects.filter(pk=run.pk).update(current_step="transcribe")
    run.refresh_from_db()
    told = status.document(run)
    assert told["eta_seconds"] > 20 * before
    assert 0 < told["percent"] < 50
