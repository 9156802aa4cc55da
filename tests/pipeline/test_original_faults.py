"""Faults of the original that no other test of the pipeline names."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from memories.pipeline import failure_catalogue, runner, service, subprocess_runner
from memories.pipeline.models import PostProcessingRun, RunStep
from memories.repository import memories as repository
from memories.shapes import Memory, UserEdits
from omi.core.errors import ErrorKind, ProviderError
from omi.stores import audio
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, wav
from transcription.segments import MAX_SEGMENT_SECONDS, Word, segments_from_words

pytestmark = pytest.mark.django_db

Drive = Callable[..., PostProcessingRun]


def test_a_missing_processing_memory_ends_with_a_sentence(db: None, drive: Drive) -> None:
    """In the original it was a TypeError."""
    run = service.start("capture", UID, "memory-x", actor="test", options={"processing_memory_id": "never-was"})
    ended = drive(run)
    assert (ended.outcome, ended.message_id) == ("invalid_input", "nothing_to_process")
    assert failure_catalogue.get(ended.message_id).what_to_do


def test_the_upload_is_not_overwritten(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    """What was prepared is another object; a retry finds the original."""
    original = bytearray(wav())
    original[24:32] = struct.pack("<II", 15000, 30000)  # not the rate that is prepared
    kept = upload(bytes(original))
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=kept))
    assert run.steps.get(name="prepare_audio").output["audio"] != kept.name
    with audio.open(kept.name) as file:
        assert file.read() == original


def test_what_a_person_wrote_is_not_written_over(memory: Memory, drive: Drive) -> None:
    """Reprocessing there threw away what was reviewed and edited."""
    edits = UserEdits(title="My own title")
    repository.update_memory(UID, MEMORY, {"edits": edits})
    for _ in range(2):
        run = service.start("reprocess", UID, MEMORY, actor="test", reason="again")
        assert drive(run).outcome == "success"
    shown = repository.get_memory(UID, MEMORY)
    assert (shown.structured.title, shown.structured.overview) == ("My own title", "They talk.")


def test_asking_for_a_run_does_no_work_in_the_web_process(memory: Memory, upload: Any) -> None:
    """There vendors, decoding and the language model ran inside the socket."""
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    assert (run.state, fakes.CALLS) == ("queued", [])
    assert set(RunStep.objects.filter(run=run).values_list("state", flat=True)) == {"pending"}


def test_a_failing_speech_detector_is_not_silence(memory: Memory, upload: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error was swallowed and the recording went on untrimmed."""

    def broken(function: str, arguments: dict[str, Any], *, timeout: float) -> Any:
        raise ProviderError("local", "the audio work ended", kind=ErrorKind.TRANSIENT, code="child_exit_-11")

    monkeypatch.setattr(subprocess_runner, "call", broken)
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    assert runner.work(run.pk) == "waiting"
    step = run.steps.get(name="prepare_audio")
    assert (step.state, step.attempts) == ("waiting", 1)
    assert fakes.CALLS == []


def test_no_exceptions_text_reaches_the_app(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    secret = ProviderError("first", "key sk-123 at /srv/audio refused", kind=ErrorKind.PERMANENT, code="422")
    fakes.SCRIPT["first"] = [secret]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    told = repository.get_memory(UID, MEMORY).postprocessing
    assert told is not None
    assert (told.status, told.fail_reason) == ("failed", failure_catalogue.get(run.message_id).sentence)
    assert "sk-123" not in str(told.model_dump())


def test_silence_before_the_first_word_moves_no_clock(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    """Leading silence was cut off and ``started_at`` stayed: the hour of each word was
    wrong. Here neither moves: the first word stands where it was said in the recording."""
    heard[:] = [[5.0, 11.9]]
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then", start=5.0)]
    assert drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload())).outcome == "success"
    shown = repository.get_memory(UID, MEMORY)
    assert shown.started_at == memory.started_at
    assert shown.transcript_segments[0].start == pytest.approx(5.0)
    assert shown.finished_at == memory.finished_at


def test_an_hours_monologue_is_many_segments() -> None:
    """One voice without a pause became one segment of an hour."""
    said = [Word(text=f"word{at}", start=at * 0.4, end=at * 0.4 + 0.39, speaker="SPEAKER_00") for at in range(9000)]
    made = segments_from_words(said, scope="m")
    assert max(item.end - item.start for item in made) <= MAX_SEGMENT_SECONDS
    assert len(made) >= 3600 / MAX_SEGMENT_SECONDS
    assert " ".join(item.text for item in made).split() == [word.text for word in said]


def test_words_that_come_late_or_overlap_stand_in_order_once(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    """Overlapping and late segments were appended as they came."""
    said = fakes.words(fakes.TEXT + " then")
    fakes.SCRIPT["first"] = [[*reversed(said[5:]), *said[:5]]]
    drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    shown = repository.get_memory(UID, MEMORY).transcript_segments
    assert " ".join(item.text for item in shown) == fakes.TEXT + " then"
    assert [item.start for item in shown] == sorted(item.start for item in shown)
