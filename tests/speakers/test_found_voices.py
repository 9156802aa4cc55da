"""A person enrolled later gets their segments in an older memory."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.management import call_command

from memories.repository.memories import create_memory, get_memory
from memories.shapes import Memory, UserEdits
from memories.voice_labels import on_voice_found
from omi.stores import audio
from speakers import enrolment, people
from speakers.identify import identify

from .conftest import UID, Talk, WriteWav

pytestmark = pytest.mark.django_db


def remember(talk: Talk, **more: object) -> Memory:
    now = datetime.now(UTC)
    memory = Memory(id="m1", created_at=now, started_at=now, transcript_segments=talk.segments(), **more)
    create_memory(UID, memory)
    return memory


def test_the_command_names_the_segments_of_the_found_voice(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    recording = wav(talk.pcm)
    named = talk.segments()[0].id
    remember(talk, edits=UserEdits(segments={named: {"is_user": False, "person_id": None}}))
    identify(UID, recording, talk.segments(), memory_id="m1")
    with recording.open("rb") as file:
        audio.put(UID, "recording", file, memory_id="m1", keep_for=None)
    david = people.create_person(UID, "David")
    enrolment.add_sample(UID, david.id, wav(talk.enrol_person))
    call_command("identify", UID, "--person", david.id)
    segments = get_memory(UID, "m1").transcript_segments
    assert segments[0].person_id is None, "what a person said stays"
    of_david = [item for item in segments[1:] if item.speaker == "SPEAKER_00"]
    assert {item.person_id for item in of_david} == {david.id}
    assert not any(item.person_id for item in segments if item.speaker != "SPEAKER_00")


def test_a_label_of_another_transcript_is_left_alone(db: None, talk: Talk) -> None:
    remember(talk)
    turns = [(t["start"], t["end"]) for t in talk.turns if t["speaker"] == "Peter"]
    on_voice_found(uid=UID, memory_id="m1", voice="SPEAKER_00", person_id="p", turns=turns)
    assert not any(item.person_id for item in get_memory(UID, "m1").transcript_segments)


def test_a_memory_that_is_gone_is_no_error(db: None) -> None:
    on_voice_found(uid=UID, memory_id="gone", voice="SPEAKER_00", person_id="p", turns=[(0.0, 9.0)])
