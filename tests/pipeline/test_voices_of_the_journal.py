"""A capture of the bundled conversation, whose audio is in a real journal: whose voices they are is decided on all of
it, by the real voice engine, whatever vendors called them live."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memories.ids import memory_id_for
from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories as repository
from memories.repository import processing, transcripts
from memories.shapes import ProcessingMemory
from speakers import enrolment
from tests.pipeline.conftest import UID
from tests.speakers.conftest import RATE, Talk
from tests.support import sound
from transcription import journal
from transcription.audio.codecs import codec
from transcription.ports import SessionInfo
from transcription.segments import Segment, segment_id, speaker_label

pytestmark = pytest.mark.django_db

Drive = Callable[..., PostProcessingRun]
CONVERSATION = "c0ffee00-0000-4000-8000-000000000003"
SESSION = "5e551000-0000-4000-8000-000000000003"
MEMORY = memory_id_for(CONVERSATION)
BEGAN = datetime(2026, 11, 1, 12, tzinfo=UTC)
SHOWN, OTHER = "deepgram", "soniox"
DROPS = (5, 10, 15)
"""Turns before which the shown vendor's connection dropped."""


@pytest.fixture(scope="module")
def talk() -> Talk:
    return Talk()


@pytest.fixture
def heard(talk: Talk) -> Iterator[None]:
    """The socket's audio, as a live session leaves it."""
    info = SessionInfo(UID, SESSION, BEGAN, "en", "pcm16", RATE)
    written = journal.Journal.open(info, codec("pcm16", RATE), watch=True)
    raw = talk.pcm.astype("<i2").tobytes()
    for at in range(0, len(raw), 64_000):
        assert written.append([raw[at : at + 64_000]])
    written.abandon()
    yield
    journal.forget_user(UID)


def turns(talk: Talk, vendor: str, drops: Sequence[int] = (), **more: Any) -> list[Segment]:
    """The turns as a vendor gives them that tells speakers apart rightly, and counts them anew after each drop."""
    scope = SESSION if vendor == SHOWN else f"{SESSION}/{vendor}_streaming"
    labels: dict[str, str] = {}
    known, made = 0, []
    for number, turn in enumerate(talk.turns):
        if number in drops:
            labels = {}
        if turn["speaker"] not in labels:
            labels[turn["speaker"]], known = speaker_label(known), known + 1
        made.append(
            Segment(
                id=segment_id(scope, number), text=turn["text"], speaker=labels[turn["speaker"]], start=turn["start"],
                end=turn["end"], stt_provider=f"{vendor}_streaming", **more,
            )
        )  # fmt: skip
    return made


def capture(drive: Drive, segments: list[Segment], vendors: dict[str, Any]) -> list[Segment]:
    """The segments of the memory."""
    processing.create(
        UID,
        ProcessingMemory(
            id=CONVERSATION, session_ids=[SESSION], created_at=BEGAN, timer_start=BEGAN.timestamp(),
            timer_starts=[BEGAN.timestamp()], language="en", transcript_segments=segments,
            last_audio=segments[-1].end, finished=True,
            accounting={SESSION: {"received": segments[-1].end, "failed": 0.0, "vendors": vendors}},
        ),
    )  # fmt: skip
    run = drive(service.start("capture", UID, MEMORY, actor="session", options={"processing_memory_id": CONVERSATION}))
    assert run.outcome == "success"
    return repository.get_memory(UID, MEMORY).transcript_segments


def right(talk: Talk, segments: Sequence[Segment]) -> float:
    """Share of the seconds whose label is their speaker's, each label standing for one speaker."""
    assert [item.start for item in segments] == [turn["start"] for turn in talk.turns]
    held: dict[tuple[str, str], float] = defaultdict(float)
    for item, turn in zip(segments, talk.turns, strict=True):
        held[item.speaker, turn["speaker"]] += item.end - item.start
    labels, names, seconds = set(), set(), 0.0
    for (label, name), length in sorted(held.items(), key=lambda pair: -pair[1]):
        if label not in labels and name not in names:
            labels.add(label)
            names.add(name)
            seconds += length
    return seconds / sum(held.values())


def enrol(talk: Talk, tmp_path: Path) -> None:
    path = tmp_path / "enrol.wav"
    sound.write_wav(path, talk.enrol_user.astype("<i2").tobytes())
    enrolment.enrol_user(UID, path)


def of_user(talk: Talk, segments: Sequence[Segment]) -> dict[str, set[bool]]:
    found: dict[str, set[bool]] = defaultdict(set)
    for item, turn in zip(segments, talk.turns, strict=True):
        found[turn["speaker"]].add(item.is_user)
    return found


def test_a_session_that_failed_nowhere_is_judged_once_more_over_all_its_audio(
    heard: None, drive: Drive, talk: Talk, tmp_path: Path
) -> None:
    """Live, the stranger was taken for the user, who was never named."""
    enrol(talk, tmp_path)
    live = [
        item.model_copy(update={"is_user": turn["speaker"] == "David"})
        for item, turn in zip(turns(talk, SHOWN), talk.turns, strict=True)
    ]
    made = capture(drive, live, {SHOWN: {"seconds": 90.0, "connections": 1, "failures": 0}})
    assert of_user(talk, made) == {"Anna": {True}, "David": {False}, "Peter": {False}}
    assert [item.text for item in made] == [item.text for item in live]


def test_after_three_drops_of_the_only_vendor_each_voice_is_one_and_the_user_is_the_user(
    heard: None, drive: Drive, talk: Talk, tmp_path: Path
) -> None:
    enrol(talk, tmp_path)
    live = turns(talk, SHOWN, DROPS)
    assert right(talk, live) < 0.6
    made = capture(drive, live, {SHOWN: {"seconds": 90.0, "connections": 4, "failures": 3}})
    assert right(talk, made) >= 0.95
    assert of_user(talk, made) == {"Anna": {True}, "David": {False}, "Peter": {False}}


def test_after_three_drops_of_the_shown_vendor_another_that_heard_all_says_who_is_who(
    heard: None, drive: Drive, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the voices themselves say nothing."""
    monkeypatch.setattr("speakers.turns.LEAST", 1000.0)
    transcripts.save_transcript(UID, MEMORY, f"{OTHER}_streaming", turns(talk, OTHER), {"source": "live"})
    live = turns(talk, SHOWN, DROPS)
    assert right(talk, live) < 0.6
    vendors = {
        SHOWN: {"seconds": 90.0, "connections": 4, "failures": 3},
        OTHER: {"seconds": 90.0, "connections": 1, "failures": 0},
    }
    made = capture(drive, live, vendors)
    assert right(talk, made) == 1.0
