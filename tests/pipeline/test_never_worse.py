"""A memory is never made worse: guards, edits, deletion, going on after a resume."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun, RunStep, VendorCall
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Memory, Structured
from omi.core import providers
from omi.core.errors import Outcome
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, wav
from tests.support import scrape
from transcription.segments import Segment

pytestmark = pytest.mark.django_db

Drive = Callable[..., PostProcessingRun]


def start(upload: Any, **more: Any) -> PostProcessingRun:
    return service.start("postprocess", UID, MEMORY, actor="test", audio=upload(), **more)


def test_no_vendor_is_paid_for_silence(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    """ "no speech" looked like a vendor error and was paid three times."""
    heard.clear()
    run = drive(start(upload))
    assert fakes.CALLS == []
    assert not VendorCall.objects.filter(run=run).exists()
    step = RunStep.objects.get(run=run, name="transcribe")
    assert step.outcome == "expected_silence"
    assert repository.get_memory(UID, MEMORY).transcript_segments == memory.transcript_segments


def test_a_silent_recording_of_a_memory_without_text_ends_as_expected_silence(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    heard.clear()
    repository.update_memory(UID, MEMORY, {"transcript_segments": []})
    run = drive(start(upload))
    assert (run.outcome, run.message_id) == ("expected_silence", "expected_silence")


def test_silence_over_an_existing_transcript_is_no_success_and_changes_nothing(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    """Nothing came of the recording, so nothing was successful; nothing failed either."""
    heard.clear()
    run = drive(start(upload))
    assert (run.outcome, run.message_id) == ("expected_silence", "silence_kept_transcript")
    shown = repository.get_memory(UID, MEMORY)
    assert shown.transcript_segments == memory.transcript_segments
    assert shown.active_transcript == memory.active_transcript
    assert shown.postprocessing is not None
    assert (shown.postprocessing.status, shown.postprocessing.fail_reason) == ("completed", None)


def test_no_words_although_somebody_speaks_is_an_error_and_the_live_transcript_stays(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    fakes.SCRIPT["first"] = ["empty"]
    run = drive(start(upload))
    assert (run.outcome, run.message_id) == ("empty_unexpected", "empty_unexpected")
    shown = repository.get_memory(UID, MEMORY)
    assert shown.transcript_segments == memory.transcript_segments
    assert shown.postprocessing is not None
    assert shown.postprocessing.status == "failed"
    assert shown.postprocessing.fail_reason == "There is speech in the recording, but no words came back."


def test_a_hallucinated_loop_is_rejected_and_kept_beside(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    """The 0.85 rule let a longer, hallucinated transcript pass."""
    fakes.SCRIPT["first"] = [fakes.words("thank you " * 20, step=0.16)]
    run = drive(start(upload))
    assert run.message_id == "kept_live_transcript"
    shown = repository.get_memory(UID, MEMORY)
    assert shown.active_transcript == "deepgram_streaming"
    assert shown.transcript_segments[0].text == fakes.TEXT
    kept = transcripts.list_transcripts(UID, MEMORY)["first_model"]
    assert kept.meta["accepted"] is False
    assert "repeats itself in a loop" in kept.meta["reasons"][0]


def test_inventions_between_true_sentences_are_kept_beside(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    """The vendor's words are one segment from first to last: judged by it, all of them had speech under them."""
    said = fakes.words(fakes.TEXT, start=1.0)
    end = said[-1].end
    heard[:] = [[0.8, end + 0.2]]
    made_up = ["thank you for watching", "see you in the next video", "a dog walks by", "please subscribe"]
    invented = [word for index, text in enumerate(made_up) for word in fakes.words(text, start=end + 3.0 + 4.0 * index)]
    fakes.SCRIPT["first"] = [[*said, *invented]]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload(wav(end + 30.0))))
    assert run.message_id == "kept_live_transcript"
    assert repository.get_memory(UID, MEMORY).transcript_segments == memory.transcript_segments
    assert "where nobody speaks" in transcripts.list_transcripts(UID, MEMORY)["first_model"].meta["reasons"][0]


@pytest.mark.parametrize("told", [True, False], ids=["the file says so", "the file knows nothing of it"])
def test_a_recording_that_was_cut_off_is_kept_beside_and_says_so(
    memory: Memory, upload: Any, heard: Any, drive: Drive, told: bool
) -> None:
    said = [f"{fakes.TEXT} number {index}" for index in range(10)]
    live = [Segment(id=f"l{index}", text=text, start=index * 10.0 + 1, end=index * 10.0 + 9)
            for index, text in enumerate(said)]  # fmt: skip
    repository.update_memory(UID, MEMORY, {"transcript_segments": live})
    file = wav(100.0)[: 44 + 60 * 32000] if told else wav(60.0)
    heard[:] = [[index * 10.0 + 1, index * 10.0 + 9] for index in range(6)]
    fakes.SCRIPT["first"] = [[word for index in range(6) for word in fakes.words(said[index], start=index * 10.0 + 1)]]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload(file)))
    assert run.message_id == "kept_live_transcript"
    assert repository.get_memory(UID, MEMORY).transcript_segments == live
    reason = transcripts.list_transcripts(UID, MEMORY)["first_model"].meta["reasons"][0]
    assert reason.startswith("the recording ends after 60 s and what is shown goes on to 99 s")
    assert ("its file was cut off" in reason) is told
    assert ("it says that it is 100.0 s long" in run.steps.get(name="prepare_audio").note) is told


def test_edits_made_while_a_run_is_under_way_survive_it(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    """The stale object was written back in full."""
    from memories import editing

    def user_edits() -> list[Any]:
        editing.set_texts(UID, MEMORY, {"title": "My own title", "overview": None})
        editing.assign_segments(UID, MEMORY, ["live-1"], editing.Decision(is_user=True))
        repository.update_memory(UID, MEMORY, {"visibility": "shared"})
        return fakes.words(fakes.TEXT + " then")

    fakes.SCRIPT["first"] = [user_edits]
    drive(start(upload))
    shown = repository.get_memory(UID, MEMORY)
    assert shown.active_transcript == "first_model"
    assert shown.structured.title == "My own title"
    assert [item.is_user for item in shown.transcript_segments] == [True]  # carried over by time, not by id
    assert shown.visibility == "shared"


def test_a_memory_deleted_while_a_run_is_under_way_stays_deleted(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    """The memory came back, or its vector stayed for ever."""

    def delete() -> None:
        repository.delete_memory(UID, MEMORY)

    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    fakes.SCRIPT["embedder"] = [delete]
    run = drive(start(upload))
    assert (run.outcome, run.message_id) == ("canceled", "memory_gone")
    with pytest.raises(repository.MemoryNotFound):
        repository.get_memory(UID, MEMORY)
    assert providers.one("vectors").fetch([f"{UID}-{MEMORY}"], namespace="ns1") == {}


def test_a_failing_optional_emotion_step_is_shown_and_fails_nothing(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    """Emotions turned success into failure. Partial success is shown as partial."""
    fakes.SCRIPT["emotions"] = [fakes.permanent("emotions")]
    run = drive(start(upload, options={"emotional_feedback": True}))
    assert (run.outcome, run.message_id) == ("success", "emotions_missing")
    step = RunStep.objects.get(run=run, name="emotions")
    assert (step.state, step.outcome) == ("failed", "upstream_error")


def test_a_failing_voice_engine_erases_no_label(memory: Memory, upload: Any, heard: Any, drive: Drive,
                                                monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """The default "nobody" erased labels, and the paid transcript was thrown away."""
    labelled = [memory.transcript_segments[0].model_copy(update={"is_user": True})]
    repository.update_memory(UID, MEMORY, {"transcript_segments": labelled})
    fakes.SCRIPT["first"] = [fakes.words("thank you " * 20, step=0.16)]

    def broken(*args: Any, **kwargs: Any) -> None:
        raise fakes.permanent("voices")

    monkeypatch.setattr("speakers.identify.identify", broken)
    run = drive(start(upload))
    assert run.outcome == "success"
    assert repository.get_memory(UID, MEMORY).transcript_segments[0].is_user is True
    assert "voices were not judged" in RunStep.objects.get(run=run, name="identify_speakers").note
    failed = 'memory_postprocessing_duration_seconds_count{outcome="upstream_error",step="identify_speakers"} 1.0'
    assert failed in scrape.scraped(), "the alert StepsFail reads it, for the run itself ends well"


def test_a_transcript_activated_meanwhile_is_not_overwritten(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    def activate() -> list[Any]:
        other = [memory.transcript_segments[0].model_copy(update={"id": "other-1", "text": "chosen by the user"})]
        repository.update_memory(UID, MEMORY, {"transcript_segments": other, "active_transcript": "chosen"})
        return fakes.words(fakes.TEXT + " then")

    fakes.SCRIPT["first"] = [activate]
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    drive(run)
    shown = repository.get_memory(UID, MEMORY)
    assert shown.active_transcript == "chosen"
    assert "first_model" in transcripts.list_transcripts(UID, MEMORY)


def test_calendar_flags_and_ticked_items_survive_a_new_structure(memory: Memory, drive: Drive) -> None:
    before = Structured(
        title="Live", action_items=[{"description": "Call Anna", "completed": True}],
        events=[{"title": "Dentist", "start": "2026-11-03T09:00:00Z", "created": True}],
    )  # fmt: skip
    repository.update_memory(UID, MEMORY, {"structured": before.model_dump(mode="json")})
    fakes.SCRIPT["structurer"] = [
        Structured(
            title="New", action_items=[{"description": "call anna"}, {"description": "Buy milk"}],
            events=[{"title": "dentist", "start": "2026-11-03T10:00:00Z"}],
        )
    ]  # fmt: skip
    drive(service.start("reprocess", UID, MEMORY, actor="test"))
    made = repository.get_memory(UID, MEMORY).structured
    assert made.title == "New"
    assert [item.completed for item in made.action_items] == [True, False]
    assert made.events[0].created is True


@pytest.mark.parametrize("kind", ["audio_not_audio", "audio_too_short", "audio_empty"])
def test_a_bad_file_ends_with_what_to_do_about_it(
    memory: Memory, upload: Any, drive: Drive, settings: Any, kind: str
) -> None:
    """Too short was final, and a 500."""
    content = {"audio_not_audio": b"<html>no</html>" * 50, "audio_too_short": wav(2.0), "audio_empty": b""}[kind]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload(content)))
    assert (run.outcome, run.message_id) == (Outcome.INVALID_INPUT, kind)
    # ... and a better recording is taken afterwards.
    again = service.start("postprocess", UID, MEMORY, actor="test", audio=upload(seed=9))
    assert (again.pk != run.pk, again.state) == (True, "queued")


@pytest.mark.parametrize("withdrawn", [False, True])
def test_a_recording_is_kept_only_while_the_user_allows_it(
    memory: Memory, upload: Any, heard: Any, drive: Drive, withdrawn: bool
) -> None:
    """Consent withdrawn in mid-run."""
    from omi.accounts.users import update_user
    from omi.stores import audio

    update_user(UID, store_recording_permission=True)

    def withdraw() -> None:
        if withdrawn:
            update_user(UID, store_recording_permission=False)

    fakes.SCRIPT["first"] = [withdraw]
    drive(start(upload))
    kept = audio.for_memory(UID, MEMORY, purpose="recording")
    assert len(kept) == (0 if withdrawn else 1)
    assert bool(repository.get_memory(UID, MEMORY).recording) is not withdrawn


def test_a_recording_goes_after_as_long_as_the_user_chose(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    """Also where the user chooses while the run works."""
    from omi.accounts.users import update_user
    from omi.stores import audio

    def choose() -> None:
        update_user(UID, recordings_keep_days=30)

    update_user(UID, store_recording_permission=True)
    fakes.SCRIPT["first"] = [choose]
    drive(start(upload))
    (kept,) = audio.for_memory(UID, MEMORY, purpose="recording")
    assert kept.delete_after == kept.created_at + timedelta(days=30)
