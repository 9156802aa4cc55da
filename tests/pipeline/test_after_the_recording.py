"""A recording goes after a day; what was paid for it stays, and a retry goes on with that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memories import editing
from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.operations import dry_run
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.core.errors import ErrorKind, Outcome, ProviderError
from omi.stores import audio
from omi.stores.models import AudioObject
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, copied

pytestmark = pytest.mark.django_db

Drive = Callable[..., PostProcessingRun]
WRONG_KEY = ProviderError(
    "structurer", "refused the key", kind=ErrorKind.PERMANENT, code="401", outcome=Outcome.CONFIG_ERROR
)


@pytest.fixture
def failed(memory: Memory, upload: Any, heard: Any, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> PostProcessingRun:
    """A run whose transcript was paid for, that failed behind it, and whose recording is gone since."""
    monkeypatch.setattr("transcription.audio.convert.decode_to_wav", copied)
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    fakes.SCRIPT["structurer"] = [WRONG_KEY]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    assert run.message_id == "not_configured"
    for kept in audio.for_memory(UID, MEMORY):
        audio.delete(kept)
    return run


@pytest.mark.parametrize("rows", ["kept", "gone"])
@pytest.mark.parametrize("from_step", [None, "structure"])
def test_a_retry_goes_on_with_the_words_that_were_paid_for(
    failed: PostProcessingRun, drive: Drive, from_step: str | None, rows: str
) -> None:
    if rows == "gone":  # 30 days later
        AudioObject.objects.all().delete()
    again = drive(service.retry(failed, actor="test", from_step=from_step))
    assert (again.outcome, again.message_id) == ("success", "success")
    assert repository.get_memory(UID, MEMORY).active_transcript == "first_model"
    assert fakes.count("first", "submit") == 1
    note = again.steps.get(name="identify_speakers").note
    assert note == f"the recording is no longer stored: names are those that run {failed.pk} found"


def test_names_stay_as_an_earlier_run_found_them_and_as_a_person_set_them_since(
    failed: PostProcessingRun, drive: Drive
) -> None:
    step = failed.steps.get(name="identify_speakers")
    from memories.pipeline.engine import content_hash

    kept = step.artifacts.get(name="segments")
    body = content_hash.unpack(bytes(kept.body))
    body[0]["person_id"] = "anna"
    kept.sha256, kept.body = content_hash.pack(body)
    kept.save()
    first = drive(service.retry(failed, actor="test", from_step="identify_speakers"))
    assert [item.person_id for item in repository.get_memory(UID, MEMORY).transcript_segments] == ["anna"]
    shown = repository.get_memory(UID, MEMORY).transcript_segments[0]
    editing.assign_segments(UID, MEMORY, [shown.id], editing.Decision(is_user=True))
    drive(service.retry(first, actor="test", from_step="structure"))
    labels = [(item.is_user, item.person_id) for item in repository.get_memory(UID, MEMORY).transcript_segments]
    assert labels == [(True, None)]


def test_emotions_that_were_asked_for_are_missing_and_nothing_else(failed: PostProcessingRun, drive: Drive) -> None:
    repository.update_memory(UID, MEMORY, {"emotional_feedback": True})
    again = drive(service.retry(failed, actor="test"))
    assert (again.outcome, again.message_id) == ("success", "emotions_missing")


def test_a_user_who_lets_recordings_be_kept_gets_the_transcript_too(failed: PostProcessingRun, drive: Drive) -> None:
    from memories.privacy import account

    account.set_recording_permission(UID, True)
    assert drive(service.retry(failed, actor="test")).outcome == "success"
    assert repository.get_memory(UID, MEMORY).recording is None


def test_who_wants_the_words_heard_anew_is_told_that_the_recording_is_gone(
    failed: PostProcessingRun, drive: Drive
) -> None:
    assert drive(service.retry(failed, actor="test", from_step="transcribe")).message_id == "audio_missing"


def test_the_forecast_warns_only_where_the_recording_is_needed(failed: PostProcessingRun) -> None:
    assert dry_run.forecast(UID, MEMORY, "postprocess", failed, None).warnings == []
    assert dry_run.forecast(UID, MEMORY, "postprocess", failed, "transcribe").warnings != []
