"""What a person said of a moment names that moment, and a voice only with most of what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memories import editing as person
from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.rules import user_edits
from memories.pipeline.speaker_labels import continued
from memories.repository import memories as repository
from memories.shapes import Memory, UserEdits
from speakers import people
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, wav
from transcription.segments import Segment

Drive = Callable[..., PostProcessingRun]


def segment(name: str, start: float, end: float, voice: int) -> Segment:
    return Segment(id=name, text=name, start=start, end=end, speaker=f"SPEAKER_{voice:02d}")


ANNA = {"is_user": False, "person_id": "anna"}
SAID = UserEdits(segments={"old": {**ANNA, "start": 0.0, "end": 20.0, "transcript": "live"}})
CUT = [
    segment("a", 0.0, 9.0, 0), segment("yeah", 9.1, 9.4, 1), segment("b", 9.5, 19.8, 0), segment("c", 21.0, 40.0, 1),
    segment("d", 41.0, 60.0, 1),
]  # fmt: skip


def named(segments: list[Segment], made: UserEdits = SAID) -> set[str]:
    labels = user_edits.manual_labels(segments, made, model="better", known={})
    return set(user_edits.naming(segments, labels, made, model="better"))


def test_one_yeah_inside_a_labelled_sentence_names_no_voice() -> None:
    """All 40 s of the other voice were Anna's."""
    assert named(CUT) == {"a", "b"}


def test_a_voice_whose_speech_lies_mostly_in_what_was_labelled_is_named() -> None:
    assert named([*CUT[:3], segment("c", 21.0, 21.2, 1)]) == {"a", "yeah", "b"}


def test_a_label_of_this_very_segment_or_voice_names_its_voice() -> None:
    own = UserEdits(segments={"yeah": {**ANNA, "start": 9.1, "end": 9.4, "transcript": "better"}})
    assert named(CUT, own) == {"yeah"}
    of_voice = UserEdits(speakers={"SPEAKER_01": {**ANNA, "transcript": "better"}})
    assert named(CUT, of_voice) == {"yeah", "c", "d"}


def test_a_segment_that_a_person_edited_is_not_split() -> None:
    whole = user_edits.kept_whole(CUT, SAID, {})
    assert [(item.id, item.text, item.speaker, item.end) for item in whole] == [
        ("a", "a yeah b", "SPEAKER_00", 19.8), ("c", "c", "SPEAKER_01", 40.0), ("d", "d", "SPEAKER_01", 60.0)
    ]  # fmt: skip


def test_two_edited_segments_are_not_joined_and_what_is_beside_them_stays() -> None:
    two = UserEdits(
        segments={
            "o1": {**ANNA, "start": 0.0, "end": 9.45, "transcript": "live"},
            "o2": {"is_user": True, "person_id": None, "start": 9.45, "end": 20.0, "transcript": "live"},
        }
    )
    assert [item.text for item in user_edits.kept_whole(CUT, two, {})] == ["a yeah", "b", "c", "d"]
    assert user_edits.kept_whole(CUT, UserEdits(), {}) == CUT


def test_one_word_does_not_say_which_voice_goes_on() -> None:
    shown = [segment("s", 0.0, 20.0, 0)]
    live = [segment("l1", 0.0, 19.0, 3), segment("yeah", 9.1, 9.4, 4), segment("l2", 21.0, 40.0, 4)]
    assert [item.speaker for item in continued(shown, live, live[2:])] == ["SPEAKER_01"]


@pytest.mark.django_db
def test_a_word_of_another_voice_in_a_labelled_sentence_renames_nothing_after_a_run(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    anna = people.create_person(UID, "Anna").id
    said = " ".join(f"one{index}" for index in range(28))
    live = Segment(id="live-1", text=said, start=1.0, end=13.0)
    repository.update_memory(UID, MEMORY, {"transcript_segments": [live]})
    person.assign_segments(UID, MEMORY, ["live-1"], person.Decision(person_id=anna))
    first = fakes.words(said, start=1.0)
    first[12] = first[12].model_copy(update={"speaker": "SPEAKER_01"})
    other = fakes.words(" ".join(f"two{index}" for index in range(60)), start=14.0, speaker="SPEAKER_01")
    heard[:] = [[1.0, 12.2], [14.0, 38.0]]
    fakes.SCRIPT["first"] = [[*first, *other]]
    drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload(wav(40.0))))
    after = repository.get_memory(UID, MEMORY)
    assert after.active_transcript == "first_model"
    assert [(item.person_id, item.speaker) for item in after.transcript_segments] == [
        (anna, "SPEAKER_00"), (None, "SPEAKER_01")
    ]  # fmt: skip
    assert after.transcript_segments[0].text.split() == [word.text for word in first]
