"""A corrected sentence and a changed action item stay, whatever later runs make of the recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memories.changes import making, voices
from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.steps import publish
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import ActionItem, Memory
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID

pytestmark = pytest.mark.django_db
Drive = Callable[..., PostProcessingRun]
FIRST = fakes.words("we should book the table for friday evening", start=1.0)
SECOND = fakes.words("and ask hannah whether she can", start=4.4, speaker="SPEAKER_01")
RIGHT = "and ask Anna whether she can"


def nobody() -> None:
    """An account that is there."""


def test_the_persons_words_win_and_the_machines_transcript_stays_the_machines(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    fakes.SCRIPT["first"] = [[*FIRST, *SECOND]]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    before = repository.get_memory(UID, MEMORY)
    wrong = before.transcript_segments[1]
    making.set_text(UID, MEMORY, wrong.id, RIGHT, fence=nobody)
    added, _ = making.add_item(UID, MEMORY, ActionItem(description="Water the plants"), fence=nobody)
    making.change_item(UID, MEMORY, added, {"completed": True}, fence=nobody)
    # Heard once more, with another cut and other ids.
    again = [word.model_copy(update={"speaker": "SPEAKER_02"}) for word in FIRST[:1]] + FIRST[1:]
    fakes.SCRIPT["first"] = [[*again, *SECOND]]
    drive(service.retry(run, actor="test", from_step="transcribe"))
    after = repository.get_memory(UID, MEMORY)
    assert not {item.id for item in before.transcript_segments} & {item.id for item in after.transcript_segments}
    assert after.transcript_segments[-1].text == RIGHT
    assert [item.text for item in after.heard()][-1] == wrong.text
    assert [(item.description, item.completed) for item in after.structured.action_items][-1] == (
        "Water the plants", True,
    )  # fmt: skip
    drive(service.start("reprocess", UID, MEMORY, actor="test", options={"force": True}))
    last = repository.get_memory(UID, MEMORY)
    assert last.transcript_segments[-1].text == RIGHT
    assert "Water the plants" in [item.description for item in last.structured.action_items]
    stored = [item for versions in transcripts.all_versions(UID, MEMORY).values() for item in versions]
    assert stored
    assert RIGHT not in [segment.text for version in stored for segment in version.segments]
    making.undo(UID, MEMORY, last.edits.changes[0].id, fence=nobody)
    assert repository.get_memory(UID, MEMORY).transcript_segments[-1].text == wrong.text


def test_voices_that_the_person_made_one_stay_one_in_whatever_transcript(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    fakes.SCRIPT["first"] = [[*FIRST, *SECOND]]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    before = repository.get_memory(UID, MEMORY)
    assert [item.speaker for item in before.transcript_segments] == ["SPEAKER_00", "SPEAKER_01"]
    voices.merge(UID, MEMORY, "SPEAKER_01", "SPEAKER_00", fence=nobody)
    # Heard once more: the labels are others, and so are the ids.
    again = [word.model_copy(update={"speaker": "SPEAKER_01"}) for word in FIRST]
    fakes.SCRIPT["first"] = [[*again, *[word.model_copy(update={"speaker": "SPEAKER_00"}) for word in SECOND]]]
    drive(service.retry(run, actor="test", from_step="transcribe"))
    after = repository.get_memory(UID, MEMORY)
    assert [item.speaker for item in after.heard()] == ["SPEAKER_01", "SPEAKER_00"]
    assert [item.speaker for item in after.transcript_segments] == ["SPEAKER_01", "SPEAKER_01"]
    making.undo(UID, MEMORY, after.edits.changes[0].id, fence=nobody)
    assert repository.get_memory(UID, MEMORY).transcript_segments == after.heard()


def test_a_correction_made_while_a_run_is_out_does_not_keep_its_transcript_from_being_shown(
    memory: Memory, upload: Any, heard: Any, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.SCRIPT["first"] = [[*FIRST, *SECOND]]
    drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    wrong = repository.get_memory(UID, MEMORY).transcript_segments[1]
    fakes.SCRIPT["first"] = [[*FIRST, *fakes.words("and ask hanna whether she can", start=4.4, speaker="SPEAKER_01")]]
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload(seed=2))
    real = publish._keep_versions

    def edited_meanwhile(*given: Any) -> str:
        making.set_text(UID, MEMORY, wrong.id, RIGHT, fence=nobody)
        return real(*given)

    monkeypatch.setattr(publish, "_keep_versions", edited_meanwhile)
    drive(run)
    after = repository.get_memory(UID, MEMORY)
    assert after.heard()[-1].text == "and ask hanna whether she can"
    assert after.transcript_segments[-1].text == RIGHT
