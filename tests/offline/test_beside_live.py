"""An offline recording beside what the same device's live sessions heard: it goes on with them, and nothing is taken
twice."""

from __future__ import annotations

from typing import Any

import pytest

from memories.capture import conversations
from memories.ids import memory_id_for
from memories.offline import working
from memories.repository import processing
from tests.offline.conftest import TALK, UID, App, Make, at, memories, pcm, script, texts
from tests.pipeline import fakes
from transcription.ports import Conversation, Piece, SessionInfo
from transcription.segments import Segment

pytestmark = pytest.mark.django_db


def live(until: float = 100.0, *, over: bool = True) -> tuple[SessionInfo, Conversation]:
    """A live session of the same device, of ``until`` seconds from noon on. ``over``: the network broke then."""
    session = SessionInfo(UID, "live-session", at(0), "en", "pcm16", 16_000, "pendant")
    place = conversations.open_conversation(session)
    said = fakes.words("good morning to you all", start=1.0, step=0.4)
    segment = Segment(
        id="live-0", text=" ".join(word.text for word in said), start=said[0].start, end=said[-1].end,
        speaker="SPEAKER_00", stt_provider="deepgram_streaming",
    )  # fmt: skip
    heard_at = at(until).timestamp()
    conversations.store_segments(session, place, [Piece(0, [segment])], last_audio=until, heard_at=heard_at)
    audio = {"live-session": {"until": until, "at": heard_at, "over": over}}
    processing.update(UID, place.id, {"audio": audio})
    return session, place


def test_what_was_captured_after_a_live_conversation_broke_off_continues_it(app: App, make: Make) -> None:
    _, place = live()
    script("and we go on offline")
    batch = app.send((pcm(*TALK), 110, "pcm16"))
    working.work(batch)
    make()
    [memory] = memories()
    assert memory.id == memory_id_for(place.id)
    assert texts(memory) == ["good morning to you all", "and we go on offline"]
    assert memory.transcript_segments[1].start == pytest.approx(112.2, abs=0.2)
    assert app.shown(batch)["conversations"][0]["joined"] is True


def test_what_was_heard_live_is_not_taken_again_from_a_device_that_stored_it_too(app: App, make: Make) -> None:
    live(until=10.0)
    batch = app.send((pcm(*TALK), 0, "pcm16"))
    working.work(batch)
    assert app.states(batch) == ["heard"]
    assert make() == []


def test_another_devices_conversation_is_left_alone(app: App, make: Make) -> None:
    live()
    script("of another device")
    working.work(app.send((pcm(*TALK), 110, "pcm16"), device="watch"))
    make()
    assert [texts(memory) for memory in memories()] == [["of another device"]]


def test_a_conversation_that_is_open_now_is_made_when_it_ends(app: App, make: Make, settings: Any) -> None:
    settings.OMI_GAP_SECONDS = 10**9  # whoever was heard at noon is heard now
    session, place = live(over=False)
    script("and we go on offline")
    batch = app.send((pcm(*TALK), 110, "pcm16"))
    working.work(batch)
    assert make() == []
    assert app.shown(batch)["conversations"][0]["state"] == "goes_on"
    conversations.finish_conversation(session, place, reason="finish", accounting=None, keep=False)
    make()
    assert texts(memories()[0]) == ["good morning to you all", "and we go on offline"]


def test_a_live_session_that_returns_goes_on_with_its_own_conversation(app: App, make: Make) -> None:
    """What was captured yesterday is not the device's newest conversation, though it came last."""
    _, place = live()
    script("yesterday")
    working.work(app.send((pcm(*TALK), -86_400, "pcm16")))
    later = SessionInfo(UID, "second-session", at(130), "en", "pcm16", 16_000, "pendant")
    resumed = conversations.resume_conversation(later)
    assert resumed is not None
    assert (resumed.id, resumed.offset) == (place.id, 130.0)


def test_what_was_heard_live_is_known_however_many_conversations_came_since(app: App, make: Make) -> None:
    for number in range(45):
        session = SessionInfo(UID, f"s{number}", at(number * 1000), "en", "pcm16", 16_000, "pendant")
        place = conversations.open_conversation(session)
        audio_of = {session.session_id: {"until": 12.0, "at": at(number * 1000 + 12).timestamp(), "over": True}}
        processing.update(UID, place.id, {"audio": audio_of, "last_audio": 12.0})
    batch = app.send((pcm(*TALK, seed=1), 0, "pcm16"), (pcm(*TALK, seed=2), 44_500, "pcm16"))
    working.work(batch)
    assert app.states(batch) == ["heard", "placed"]
