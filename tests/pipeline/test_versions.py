"""Which version of a transcript is shown, and going back to a good one after a run that was worse."""

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
from tests.api.conftest import Caller
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID
from transcription.segments import Segment

pytestmark = pytest.mark.django_db
Drive = Callable[..., PostProcessingRun]

GOOD = fakes.TEXT + " then"


def loop(words: Callable[..., Any] = fakes.words) -> Any:
    return words("thank you " * 8)


def shown() -> Memory:
    return repository.get_memory(UID, MEMORY)


@pytest.fixture
def twice(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    """A good run, then a rejected one of the same model."""
    fakes.SCRIPT["first"] = [fakes.words(GOOD)]
    drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    fakes.SCRIPT["first"] = [loop()]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload(seed=2)))
    assert run.message_id == "kept_live_transcript"


@pytest.mark.parametrize("old", [False, True], ids=["", "a document of an older server"])
def test_a_rejected_second_run_of_the_same_model_hides_no_good_version(twice: None, old: bool) -> None:
    if old:
        repository.update_memory(UID, MEMORY, {"active_version": None})
    kept = transcripts.list_transcripts(UID, MEMORY)["first_model"]
    assert (kept.active, kept.segments[0].text) == (True, GOOD)
    assert [item.active for item in transcripts.list_versions(UID, MEMORY, "first_model")] == [False, True]
    person.activate_transcript(UID, MEMORY, "deepgram_streaming")
    assert shown().transcript_segments[0].text == fakes.TEXT
    person.activate_transcript(UID, MEMORY, "first_model")
    assert shown().transcript_segments[0].text == GOOD


def test_the_api_names_the_versions_and_activates_one(twice: None) -> None:
    app, path = Caller(UID), f"/v1/memories/{MEMORY}/transcripts"
    [info] = [item for item in app.get(f"{path}/versions").json() if item["model"] == "first_model"]
    [other] = info["others"]
    assert (info["active"], info["meta"]["accepted"], other["meta"]["accepted"]) == (True, True, False)
    answer = app.send("POST", f"{path}/first_model/activate?version={other['version']}")
    assert answer.json()["transcript_segments"][0]["text"].startswith("thank you")
    assert shown().active_version == other["version"]
    [info] = [item for item in app.get(f"{path}/versions").json() if item["model"] == "first_model"]
    assert (info["active"], info["version"]) == (True, other["version"])
    assert app.send("POST", f"{path}/first_model/activate?version=none").status_code == 404
    assert shown().active_version == other["version"]


def test_another_accepted_run_is_the_one_that_is_shown(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    for number, text in enumerate((GOOD, GOOD + " please")):
        fakes.SCRIPT["first"] = [fakes.words(text)]
        drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload(seed=number)))
    newest, oldest = transcripts.list_versions(UID, MEMORY, "first_model")
    assert (newest.active, oldest.active) == (True, False)
    assert shown().active_version == newest.version


def test_a_voice_named_in_one_version_is_another_voice_in_the_next() -> None:
    """The second run of a model numbers its voices anew: a label that was named goes by the moments of its version."""
    said = {"is_user": True, "person_id": None, "transcript": "m", "version": "v1"}
    made = UserEdits(speakers={"SPEAKER_00": said})
    first = [Segment(id="a", text="a", start=0, end=4, speaker="SPEAKER_00"),
             Segment(id="b", text="b", start=5, end=9, speaker="SPEAKER_01")]  # fmt: skip
    second = [Segment(id="c", text="a", start=0, end=4, speaker="SPEAKER_01"),
              Segment(id="d", text="b", start=5, end=9, speaker="SPEAKER_00")]  # fmt: skip
    known: dict[str | None, list[Segment]] = {"m": second, "m@v1": first}
    assert set(user_edits.manual_labels(second, made, model="m", version="v2", known=known)) == {"c"}
    assert set(user_edits.manual_labels(first, made, model="m", version="v1", known=known)) == {"a"}
    assert set(user_edits.manual_labels(second, made, model="m", known=known)) == {"d"}  # nothing is known of versions
