"""A finished conversation becomes a memory, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from memories.pipeline import service, status
from memories.pipeline.models import PostProcessingRun, RunStep
from memories.pipeline.rules import user_edits as overlay
from memories.pipeline.steps import publish_new_memory
from memories.pipeline.vendor_calls import circuit_breaker
from memories.repository import memories as repository
from memories.repository import processing, transcripts
from memories.shapes import Structured
from memories.structuring.base import StructureResult
from memories.user_events import log
from omi.core import providers
from omi.core.errors import Outcome, ProviderError
from tests.pipeline import fakes
from tests.pipeline.conftest import UID, wav
from tests.pipeline.conversations import MEMORY, PROCESSING, STARTED, conversation, segment, start
from transcription.hosts import handover
from transcription.segments import Segment

pytestmark = pytest.mark.django_db

Drive = Callable[..., PostProcessingRun]


def test_a_conversation_becomes_a_memory_and_the_app_is_told(drive: Drive) -> None:
    conversation(segment(1, fakes.TEXT, 1.0))
    run = drive(start())
    assert run.outcome == "success"
    made = repository.get_memory(UID, MEMORY)
    assert made.structured.title == "About 1 segments"
    assert made.started_at == STARTED
    assert made.finished_at == STARTED + timedelta(seconds=7)  # the last word and two seconds, not the socket
    assert made.active_transcript == "deepgram_streaming"
    assert processing.get(UID, PROCESSING).memory_id == MEMORY
    told = [item for item in log.after(UID, 0) if item["type"] == "new_memory_created"]
    assert [(item["memory_id"], item["processing_memory_id"]) for item in told] == [(MEMORY, PROCESSING)]
    assert providers.one("vectors").fetch([f"{UID}-{MEMORY}"], namespace="ns1")
    skipped = RunStep.objects.filter(run=run, state="skipped").values_list("name", flat=True)
    assert set(skipped) == {"prepare_audio", "transcribe", "assess", "identify_speakers"}


def test_audio_of_a_session_that_joins_while_the_memory_is_made_is_kept_for_its_own_run(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversation goes on (or offline audio joins it) between the reading and the publishing: that was not read."""
    conversation(segment(1, fakes.TEXT, 1.0))
    released: list[str] = []
    monkeypatch.setattr(handover, "release", lambda session, *rest: released.append(session))
    real = publish_new_memory.write

    def joined(ctx: Any) -> Any:
        processing.update(UID, PROCESSING, {"session_ids": ["session", "joined"]})
        return real(ctx)

    monkeypatch.setattr(publish_new_memory, "write", joined)
    assert drive(start()).outcome == "success"
    assert released == ["session"]
    monkeypatch.setattr(publish_new_memory, "write", real)
    assert drive(start()).outcome == "success"
    assert released == ["session", "session", "joined"]


def test_an_outage_of_the_language_model_delays_the_memory_and_loses_nothing(drive: Drive) -> None:
    """The processing memory was never retried."""
    conversation(segment(1, fakes.TEXT, 1.0))
    fakes.SCRIPT["structurer"] = [fakes.transient("structurer")] * 3
    assert drive(start()).outcome == "success"
    assert repository.get_memory(UID, MEMORY).structured.title


@pytest.mark.parametrize(
    "failure",
    [fakes.quota("structurer"), fakes.permanent("structurer"), fakes.permanent("structurer", Outcome.CONFIG_ERROR)],
    ids=["money", "refusal", "retired"],
)
def test_a_conversation_is_kept_though_the_language_model_cannot_be_used(drive: Drive, failure: ProviderError) -> None:
    """An error keeps, it never discards; the memory is there, with a simple summary."""
    conversation(segment(1, f"remind me that {fakes.TEXT}", 1.0))
    fakes.SCRIPT["structurer"] = [failure]
    run = drive(start())
    assert (run.outcome, run.message_id) == ("success", "summary_by_rules")
    made = repository.get_memory(UID, MEMORY)
    assert not made.discarded
    assert made.structured.title
    assert made.transcript_segments[0].text.endswith(fakes.TEXT)
    told = status.document(run)
    assert told["retryable"] is True
    structure = next(step for step in told["steps"] if step["name"] == "structure")
    assert (structure["state"], structure["outcome"]) == ("done", failure.outcome)
    assert [item["type"] for item in log.after(UID, 0)][-1] == "new_memory_created"
    # ... and a retry asks the model again.
    circuit_breaker.reset("structurer")
    again = drive(service.retry(run, actor="staff", reason="the account is filled"))
    assert again.message_id == "success"
    assert repository.get_memory(UID, MEMORY).structured.title == "About 1 segments"


def test_what_a_vendor_sent_out_of_order_stands_in_order_in_the_memory(drive: Drive) -> None:
    conversation(segment(2, "and bring the slides", 9.0), segment(1, fakes.TEXT, 1.0))
    drive(start())
    assert [item.start for item in repository.get_memory(UID, MEMORY).transcript_segments] == [1.0, 9.0]


def test_small_talk_is_discarded_unless_the_user_asked_to_keep_it(drive: Drive) -> None:
    conversation(segment(1, "well", 1.0))
    fakes.SCRIPT["structurer"] = [StructureResult(Structured(), discarded=True, discard_reason="small talk")]
    drive(start())
    assert repository.get_memory(UID, MEMORY).discarded is True
    assert providers.one("vectors").fetch([f"{UID}-{MEMORY}"], namespace="ns1") == {}
    fakes.SCRIPT["structurer"] = [StructureResult(Structured(title="Well"), discarded=True, discard_reason="small")]
    drive(start(keep=True))
    assert repository.get_memory(UID, MEMORY).discarded is False


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> None:
    def recording(uid: str, found: Any, dest: Path) -> Path:
        dest.write_bytes(wav(20.0))
        return dest

    monkeypatch.setattr("transcription.journal.recording.recording_for", recording)


def test_what_live_vendors_failed_to_hear_is_transcribed_from_the_journal(
    journal: None, heard: Any, drive: Drive
) -> None:
    """Audio lived only in memory, and an outage was a hole for ever."""
    conversation(accounting={"session": {"failed": 18.0}})
    run = drive(start())
    assert run.outcome == "success"
    made = repository.get_memory(UID, MEMORY)
    assert made.transcript_segments[0].text == fakes.TEXT
    assert made.active_transcript == "first_model"
    assert "first_model" in transcripts.list_transcripts(UID, MEMORY)


def test_voices_of_what_the_journal_gave_are_identified_and_what_a_person_said_stays(
    journal: None, heard: Any, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an outage of the live vendors nobody would be named otherwise."""
    from speakers import identify as identification

    given: dict[str, Any] = {}

    def identify(uid: str, path: Path, segments: list[Segment], **more: Any) -> identification.Identification:
        given.update(more)
        named = [item.model_copy(update={"is_user": True}) for item in segments]
        return identification.Identification(named, [])

    monkeypatch.setattr(identification, "identify", identify)
    conversation(
        segment(1, "only the beginning", 1.0),
        accounting={"session": {"failed": 18.0}},
        assigned={"s1": {"is_user": False, "person_id": "ana", "start": 1.0, "end": 5.0}},
    )
    assert drive(start()).outcome == "success"
    made = repository.get_memory(UID, MEMORY)
    assert made.active_transcript == "first_model"
    assert list(given["manual"].values()) == [{"is_user": False, "person_id": "ana"}]
    assert {(item.is_user, item.person_id) for item in made.transcript_segments} == {(False, "ana")}


def test_one_voice_has_one_label_on_all_connections_of_a_conversation(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every socket counts its speakers anew; who is who is heard in the journal's audio."""
    asked: list[Any] = []

    def repair(segments: list[Segment], path: Path, *, starts: list[float], known: Any) -> list[Segment]:
        asked.append((path.exists(), starts))
        return [item.model_copy(update={"speaker": "SPEAKER_00"}) for item in segments]

    def recording(uid: str, found: Any, dest: Path) -> Path:
        dest.write_bytes(wav(20.0))
        return dest

    monkeypatch.setattr("transcription.journal.recording.recording_for", recording)
    monkeypatch.setattr("speakers.turns.repair_labels", repair)
    began = STARTED.timestamp()
    conversation(
        segment(1, fakes.TEXT, 1.0), segment(2, "later", 90.0, speaker="SPEAKER_01"), timer_starts=[began, began + 80]
    )
    drive(start())
    assert asked == [(True, [0.0, 80.0])]
    assert {item.speaker for item in repository.get_memory(UID, MEMORY).transcript_segments} == {"SPEAKER_00"}


@pytest.mark.parametrize("gone", [True, False])
def test_labels_stay_apart_where_nobody_can_hear_who_is_who(
    drive: Drive, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    def fails(*_: Any, **__: Any) -> list[Segment]:
        raise fakes.permanent("voices")

    def recording(uid: str, found: Any, dest: Path) -> Path | None:
        dest.write_bytes(wav(20.0))
        return None if gone else dest

    monkeypatch.setattr("transcription.journal.recording.recording_for", recording)
    monkeypatch.setattr("speakers.turns.repair_labels", fails)
    began = STARTED.timestamp()
    conversation(
        segment(1, fakes.TEXT, 1.0), segment(2, "later", 90.0, speaker="SPEAKER_01"), timer_starts=[began, began + 80]
    )
    assert drive(start()).outcome == "success"
    made = repository.get_memory(UID, MEMORY)
    assert [item.speaker for item in made.transcript_segments] == ["SPEAKER_00", "SPEAKER_01"]


def test_a_worse_text_from_the_journal_does_not_replace_what_was_heard_live(
    journal: None, heard: Any, drive: Drive
) -> None:
    conversation(segment(1, fakes.TEXT, 1.0), accounting={"session": {"failed": 2.0}})
    fakes.SCRIPT["first"] = [fakes.words("thank you " * 20, step=0.16)]
    drive(start())
    assert repository.get_memory(UID, MEMORY).transcript_segments[0].text == fakes.TEXT


def test_nothing_said_and_nothing_recorded_is_told_as_such(drive: Drive) -> None:
    conversation()
    run = drive(start())
    assert (run.outcome, run.message_id) == ("invalid_input", "nothing_to_process")
    assert log.after(UID, 0)[-1]["type"] == "new_memory_create_failed"


def test_a_memory_that_the_user_deleted_does_not_come_back(drive: Drive) -> None:
    conversation(segment(1, fakes.TEXT, 1.0))
    drive(start())
    repository.delete_memory(UID, MEMORY)
    run = drive(start(again=1))
    assert (run.outcome, run.message_id) == ("canceled", "memory_gone")
    with pytest.raises(repository.MemoryNotFound):
        repository.get_memory(UID, MEMORY)


def voted(*segments: Segment) -> None:
    transcripts.save_transcript(UID, MEMORY, "consensus", segments, {"source": "live"})


def test_the_vote_of_the_vendors_is_the_first_transcript_where_several_heard(drive: Drive, settings: Any) -> None:
    settings.OMI_CONSENSUS = True
    conversation(segment(1, "we should boog the tabel for dinner", 1.0, is_user=True))
    better = segment(1, "we should book the table for dinner", 1.0).model_copy(update={"stt_provider": "consensus"})
    voted(better)
    assert drive(start()).outcome == "success"
    made = repository.get_memory(UID, MEMORY)
    assert [(item.text, item.is_user) for item in made.transcript_segments] == [(better.text, True)]
    assert made.active_transcript == "consensus"


def test_without_the_setting_what_was_shown_stays(drive: Drive, settings: Any) -> None:
    settings.OMI_CONSENSUS = False
    conversation(segment(1, fakes.TEXT, 1.0))
    voted(segment(1, "something else entirely", 1.0))
    drive(start())
    assert repository.get_memory(UID, MEMORY).transcript_segments[0].text == fakes.TEXT


def test_a_session_without_a_vote_keeps_what_was_shown_beside_one_with(drive: Drive, settings: Any) -> None:
    settings.OMI_CONSENSUS = True
    began = STARTED.timestamp()
    conversation(
        segment(1, "boog the tabel", 1.0), segment(2, "and the cake", 61.0), timer_starts=[began, began + 60.0]
    )
    voted(segment(1, "book the table", 1.0))
    drive(start())
    made = repository.get_memory(UID, MEMORY)
    assert [item.text for item in made.transcript_segments] == ["book the table", "and the cake"]


def test_who_the_user_named_on_the_socket_stays_named_in_a_later_transcript(drive: Drive) -> None:
    """A decision taken while it was going on is an edit like any other: later runs keep it."""
    decision = {"is_user": False, "person_id": "ana", "start": 1.0, "end": 5.0, "speaker": "SPEAKER_00"}
    conversation(segment(1, fakes.TEXT, 1.0, person_id="ana"), assigned={"s1": decision})
    drive(start())
    made = repository.get_memory(UID, MEMORY)
    assert made.edits.segments["s1"]["person_id"] == "ana"
    other = [Segment(id="other", text=fakes.TEXT, start=1.1, end=5.0)]
    assert overlay.manual_labels(other, made.edits, model="fal_whisperx", known={})["other"]["person_id"] == "ana"
