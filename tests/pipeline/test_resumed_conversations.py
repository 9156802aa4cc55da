"""A conversation that goes on after its memory was made: the same memory grows and nothing better is overwritten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from memories.changes import making
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories as repository
from memories.repository import processing
from memories.shapes import ActionItem
from tests.pipeline import fakes
from tests.pipeline.conftest import UID
from tests.pipeline.conversations import MEMORY, PROCESSING, STARTED, conversation, segment, start
from transcription.segments import Segment

pytestmark = pytest.mark.django_db

Drive = Callable[..., PostProcessingRun]


def test_a_conversation_that_goes_on_updates_the_same_memory(drive: Drive) -> None:
    conversation(segment(1, fakes.TEXT, 1.0))
    drive(start())
    processing.update(
        UID, PROCESSING,
        {"transcript_segments": [segment(1, fakes.TEXT, 1.0), segment(2, "and the cake", 60.0)], "last_audio": 64.0},
    )  # fmt: skip
    drive(start(again=1))
    made = repository.get_memory(UID, MEMORY)
    assert [item.id for item in made.transcript_segments] == ["s1", "s2"]
    assert made.finished_at == STARTED + timedelta(seconds=64)
    assert len(repository.list_memories(UID, limit=10, offset=0).memories) == 1


@pytest.mark.parametrize("status", ["completed", "failed", "canceled", "in_progress"])
def test_a_resumed_conversation_never_overwrites_a_better_transcript(drive: Drive, status: str) -> None:
    """Raw live segments replaced the post-processed text; later only where a second upload had failed since."""
    conversation(segment(1, "we should boog the tabel", 1.0))
    drive(start())
    better = [Segment(id="better", text="we should book the table", start=1.0, end=5.0, is_user=True)]
    repository.update_memory(
        UID, MEMORY,
        {"transcript_segments": better, "active_transcript": "fal_whisperx", "postprocessing": {"status": status}},
    )  # fmt: skip
    processing.update(
        UID, PROCESSING,
        {"transcript_segments": [segment(1, "we should boog the tabel", 1.0), segment(2, "and the cake", 60.0)]},
    )  # fmt: skip
    drive(start(again=1))
    made = repository.get_memory(UID, MEMORY)
    assert [item.text for item in made.transcript_segments] == ["we should book the table", "and the cake"]
    assert made.active_transcript == "fal_whisperx"


def test_a_sentence_that_an_earlier_run_saw_half_is_shown_whole(drive: Drive) -> None:
    """Found on two hosts of which one was killed: the run that made good what had failed read the conversation while
    the next sentence was said, and the run after that took its first word for all of it."""
    conversation(segment(1, "we should book the table", 1.0))
    drive(start())
    made_good = [
        Segment(id="made", text="we should book the table", start=1.0, end=5.0, stt_provider="deepgram_prerecorded"),
        Segment(id="s2", text="that", start=9.0, end=9.3, speaker="SPEAKER_01", stt_provider="deepgram_streaming"),
    ]
    repository.update_memory(
        UID, MEMORY, {"transcript_segments": made_good, "active_transcript": "deepgram_prerecorded"}
    )
    grown = segment(2, "that sounds wonderful", 9.0, speaker="SPEAKER_00")
    processing.update(UID, PROCESSING, {"transcript_segments": [made_good[0], grown, segment(3, "bye", 14.0)]})
    drive(start(again=1))
    made = repository.get_memory(UID, MEMORY)
    assert [item.text for item in made.transcript_segments] == [
        "we should book the table", "that sounds wonderful", "bye",
    ]  # fmt: skip
    assert made.transcript_segments[1].speaker == "SPEAKER_01"  # as it was shown


def test_what_is_said_after_post_processing_gets_labels_that_mean_the_same_voices(drive: Drive) -> None:
    """Both transcripts count their voices from 0, each in its own order: SPEAKER_00 was two people in one memory."""
    conversation(segment(1, "we should boog the tabel", 1.0), segment(2, "for friday", 6.0, speaker="SPEAKER_01"))
    drive(start())
    better = [
        Segment(id="b1", text="we should book the table", start=1.0, end=5.0, speaker="SPEAKER_01"),
        Segment(id="b2", text="for friday", start=6.0, end=10.0, speaker="SPEAKER_00"),
    ]
    ana = {"SPEAKER_02": {"person_id": "ana", "transcript": "fal_whisperx"}}  # of a voice that a run has dropped since
    repository.update_memory(
        UID, MEMORY,
        {"transcript_segments": better, "active_transcript": "fal_whisperx", "postprocessing": {"status": "completed"},
         "edits.speakers": ana},
    )  # fmt: skip
    said = [
        segment(1, "we should boog the tabel", 1.0),
        segment(2, "for friday", 6.0, speaker="SPEAKER_01"),
        segment(3, "and the cake", 60.0, speaker="SPEAKER_00"),
        segment(4, "hello you two", 65.0, speaker="SPEAKER_02"),
    ]
    for again in (1, 2):  # a second resume finds its own labels again
        processing.update(UID, PROCESSING, {"transcript_segments": said})
        drive(start(again=again))
        said.append(segment(5, "bye", 70.0, speaker="SPEAKER_02"))
    made = repository.get_memory(UID, MEMORY)
    assert [(item.id, item.speaker) for item in made.transcript_segments] == [
        ("b1", "SPEAKER_01"), ("b2", "SPEAKER_00"), ("s3", "SPEAKER_01"), ("s4", "SPEAKER_03"), ("s5", "SPEAKER_03"),
    ]  # fmt: skip
    assert {item.person_id for item in made.transcript_segments} == {None}


@pytest.mark.parametrize("shown", ["live", "fal_whisperx"])
def test_what_the_user_corrected_stays_when_the_conversation_goes_on(drive: Drive, shown: str) -> None:
    conversation(segment(1, fakes.TEXT, 1.0))
    drive(start())
    if shown != "live":
        repository.update_memory(UID, MEMORY, {"active_transcript": shown, "postprocessing": {"status": "completed"}})
    making.set_text(UID, MEMORY, "s1", "We should book the table.", fence=lambda: None)
    added, _ = making.add_item(UID, MEMORY, ActionItem(description="Water the plants"), fence=lambda: None)
    making.change_item(UID, MEMORY, added, {"completed": True}, fence=lambda: None)
    processing.update(
        UID, PROCESSING, {"transcript_segments": [segment(1, fakes.TEXT, 1.0), segment(2, "and the cake", 60.0)]}
    )
    drive(start(again=1))
    made = repository.get_memory(UID, MEMORY)
    assert [item.text for item in made.transcript_segments] == ["We should book the table.", "and the cake"]
    assert [item.text for item in made.heard()] == [fakes.TEXT, "and the cake"]
    assert ("Water the plants", True) in [(item.description, item.completed) for item in made.structured.action_items]
