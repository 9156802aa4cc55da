"""A person's word on who speaks stays with its utterance, whatever a later run makes of the recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memories import editing as person
from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.rules import user_edits
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Memory, UserEdits
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID
from transcription.segments import Segment, Word

pytestmark = pytest.mark.django_db
Drive = Callable[..., PostProcessingRun]

FIRST = fakes.words("we should book the table for friday evening", start=1.0)
SECOND = fakes.words("and ask anna whether she can", start=4.4, speaker="SPEAKER_01")
THIRD = fakes.words("bring the slides then", start=6.9)


def test_an_assignment_does_not_jump_when_the_same_recording_is_cut_otherwise(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    fakes.SCRIPT["first"] = [[*FIRST, *SECOND, *THIRD]]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    before = repository.get_memory(UID, MEMORY).transcript_segments
    person.assign_segments(UID, MEMORY, [before[1].id], person.Decision(is_user=True))
    # The vendor, asked again, hears one voice more at the start: every index after it means another utterance.
    again = [word.model_copy(update={"speaker": "SPEAKER_02"}) for word in FIRST[:1]] + FIRST[1:]
    fakes.SCRIPT["first"] = [[*again, *SECOND, *THIRD]]
    drive(service.retry(run, actor="test", from_step="transcribe"))
    after = repository.get_memory(UID, MEMORY).transcript_segments
    assert len(after) == 4
    assert [item.text for item in after if item.is_user] == [before[1].text]
    assert not {item.id for item in before} & {item.id for item in after}


def test_the_same_words_of_the_same_recording_keep_their_ids(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    fakes.SCRIPT["first"] = [[*FIRST, *SECOND, *THIRD]] * 2
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    before = [item.id for item in repository.get_memory(UID, MEMORY).transcript_segments]
    drive(service.retry(run, actor="test", from_step="transcribe"))
    assert [item.id for item in repository.get_memory(UID, MEMORY).transcript_segments] == before


def test_other_voices_of_our_own_give_other_ids(
    memory: Memory, upload: Any, heard: Any, drive: Drive, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider without diarization: which voices we hear depends on the profiles of the day."""
    settings.PROVIDERS = fakes.providers(settings.PROVIDERS, {"name": "first", "diarizes": False})
    said = [word.model_copy(update={"speaker": None}) for word in [*FIRST, *SECOND, *THIRD]]
    fakes.SCRIPT["first"] = [said, said]
    cut = len(FIRST)

    def voices(words: list[Word], *_: Any) -> list[Word]:
        return [word.model_copy(update={"speaker": f"SPEAKER_0{index >= cut:d}"}) for index, word in enumerate(words)]

    monkeypatch.setattr("speakers.turns.assign_speakers", voices)
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    before = repository.get_memory(UID, MEMORY).transcript_segments
    cut = 1
    drive(service.retry(run, actor="test", from_step="transcribe"))
    after = repository.get_memory(UID, MEMORY).transcript_segments
    assert [item.text for item in after] != [item.text for item in before]
    assert not {item.id for item in before} & {item.id for item in after}


def test_an_id_is_believed_only_about_its_moments() -> None:
    """Ids that an earlier version of this server gave by index alone are still stored with edits."""
    said = {"is_user": True, "person_id": None, "start": 4.4, "end": 6.7, "transcript": "m"}
    made = UserEdits(segments={"s1": said})
    moved = [Segment(id="s1", text="a", start=0.0, end=4.0), Segment(id="s2", text="b", start=4.4, end=6.7)]
    assert set(user_edits.manual_labels(moved, made, model="m", known={})) == {"s2"}
    grown = [Segment(id="s1", text="a and what came after it", start=4.4, end=30.0)]  # named while it was spoken
    assert set(user_edits.manual_labels(grown, made, model="m", known={})) == {"s1"}


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after the worker put the run down"])
def test_words_changed_under_the_same_ids_are_not_overwritten(
    memory: Memory, upload: Any, heard: Any, drive: Drive, waits: bool
) -> None:
    """Whether the shown transcript is the one that was judged is a question of its words, not of its ids."""

    def change() -> None:
        other = [memory.transcript_segments[0].model_copy(update={"text": "chosen by the user meanwhile"})]
        repository.update_memory(UID, MEMORY, {"transcript_segments": other})
        if waits:
            raise fakes.transient("embedder")

    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    fakes.SCRIPT["embedder"] = [change]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    shown = repository.get_memory(UID, MEMORY)
    assert [item.text for item in shown.transcript_segments] == ["chosen by the user meanwhile"]
    assert "first_model" in transcripts.list_transcripts(UID, MEMORY)
    assert "kept beside" in run.steps.get(name="publish").note
