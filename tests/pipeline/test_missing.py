"""What live vendors failed to hear, and only that, is sent to a vendor; then the books say so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memories.pipeline import missing_audio
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.repository import memories as repository
from memories.repository import processing
from memories.shapes import ProcessingMemory
from memories.user_events import log
from tests.pipeline import fakes
from tests.pipeline.conftest import UID, wav
from tests.pipeline.conversations import MEMORY, PROCESSING, STARTED, conversation, segment, start
from transcription.metrics import SETTLED
from transcription.segments import Segment, Word

pytestmark = pytest.mark.django_db
Drive = Callable[..., PostProcessingRun]
BEGAN = STARTED.timestamp()


def books(*, failed: float = 3.0, start: float = 8.0) -> dict[str, Any]:
    return {
        "session": {
            "received": 20.0, "transcribed": 14.0, "silence": 3.0, "failed": failed,
            "reasons": {"deepgram:dropped": failed}, "missing": [{"start": start, "end": start + failed}],
        }
    }  # fmt: skip


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> None:
    def recording(uid: str, found: Any, dest: Path) -> Path:
        dest.write_bytes(wav(20.0))
        return dest

    monkeypatch.setattr("transcription.journal.recording.recording_for", recording)


@pytest.fixture
def spoken(heard: Any) -> None:
    heard[:] = [[0.5, 19.0]]


def broken(**more: Any) -> ProcessingMemory:
    """Twenty seconds, of which 8 to 11 failed."""
    first, last = segment(1, "we should book the table", 1.0), segment(2, "and bring the slides", 12.0)
    return conversation(first, last, accounting=books(), timer_starts=[BEGAN], **more)


def sent() -> list[float]:
    calls = VendorCall.objects.filter(operation="transcribe").order_by("id")
    return [round(call.audio_seconds, 1) for call in calls]


def test_a_recapture_sends_only_what_failed_and_puts_it_in_its_place(journal: None, spoken: None, drive: Drive) -> None:
    broken()
    fakes.SCRIPT["first"] = [fakes.words("for friday evening", start=1.2, step=0.5)]  # seconds of the piece
    assert drive(start()).outcome == "success"
    made = repository.get_memory(UID, MEMORY)
    assert [item.text for item in made.transcript_segments] == [
        "we should book the table", "for friday evening", "and bring the slides",
    ]  # fmt: skip
    assert made.transcript_segments[1].start == pytest.approx(8.2)
    assert sent() == [5.0]  # three that failed, and one on either side


def test_what_failed_by_a_rounding_error_is_not_transcribed_beside_what_is_shown(
    journal: None, spoken: None, drive: Drive
) -> None:
    """Two ends that are one, 13.8 s, left 2e-15 s that had failed, in a stretch without length: the whole recording was
    transcribed, and every word stood in the memory twice."""
    first, last = segment(1, "we should book the table", 1.0), segment(2, "and bring the slides", 12.0)
    counted = books(failed=1.7763568394002505e-15, start=13.8)
    counted["session"]["missing"] = [{"start": 13.8, "end": 13.8}]
    conversation(first, last, accounting=counted, timer_starts=[BEGAN])
    fakes.SCRIPT["first"] = [fakes.words("we should book the table and bring the slides", start=1.0, step=0.5)]
    assert drive(start()).outcome == "success"
    made = repository.get_memory(UID, MEMORY)
    assert [item.text for item in made.transcript_segments] == ["we should book the table", "and bring the slides"]
    assert sent() == []


def test_what_is_heard_afterwards_has_the_label_of_its_voice(
    journal: None, spoken: None, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever makes good what failed counts speakers from 0: the user's own last sentence stood under a new label, too
    short to be named."""
    asked: list[Any] = []

    def repair(segments: list[Segment], path: Path, *, starts: list[float], known: Any) -> list[Segment]:
        asked.append(([item.speaker for item in segments], sorted(set(known.values())), path.exists()))
        return [item.model_copy(update={"speaker": "SPEAKER_00"}) for item in segments]

    monkeypatch.setattr("speakers.turns.repair_labels", repair)
    broken()
    fakes.SCRIPT["first"] = [fakes.words("for friday evening", start=1.2, step=0.5)]
    assert drive(start()).outcome == "success"
    assert asked == [(["SPEAKER_00", "SPEAKER_01", "SPEAKER_00"], ["SPEAKER_00"], True)]
    assert {item.speaker for item in repository.get_memory(UID, MEMORY).transcript_segments} == {"SPEAKER_00"}


def test_failed_seconds_are_settled_when_the_words_are_there_and_paid_once(
    journal: None, spoken: None, drive: Drive
) -> None:
    broken()
    settled_before = SETTLED.pending()
    fakes.SCRIPT["first"] = [fakes.words("for friday evening", start=1.2, step=0.5)]
    drive(start())
    for counted in (
        processing.get(UID, PROCESSING).model_extra["accounting"]["session"],  # type: ignore[index]
        repository.get_memory(UID, MEMORY).accounting["session"],  # type: ignore[index]
    ):
        assert counted["failed"] == 0.0
        assert counted["settled"] == pytest.approx(3.0)
        assert counted["transcribed"] > 14.0
        total = counted["transcribed"] + counted["silence"] + counted["failed"]
        assert total == pytest.approx(counted["received"])
    assert SETTLED.pending() - settled_before == pytest.approx(3.0)
    # The conversation goes on: what was made good stays, and nobody is asked again.
    said = [*processing.get(UID, PROCESSING).transcript_segments, segment(3, "and the cake", 60.0)]
    processing.update(UID, PROCESSING, {"transcript_segments": said, "last_audio": 64.0})
    assert drive(start(again=1)).outcome == "success"
    assert len(sent()) == 1
    texts = [item.text for item in repository.get_memory(UID, MEMORY).transcript_segments]
    assert texts == ["we should book the table", "for friday evening", "and bring the slides", "and the cake"]


def test_what_cannot_be_made_good_costs_the_memory_nothing_and_stays_failed(
    journal: None, spoken: None, drive: Drive
) -> None:
    broken()
    fakes.SCRIPT["first"] = [fakes.quota("first")]
    fakes.SCRIPT["second"] = [fakes.quota("second")]
    assert drive(start()).outcome == "success"
    made = repository.get_memory(UID, MEMORY)
    assert [item.text for item in made.transcript_segments] == ["we should book the table", "and bring the slides"]
    assert made.accounting["session"]["failed"] == 3.0  # type: ignore[index]


def test_nobody_is_paid_where_nobody_speaks_in_what_failed(journal: None, heard: Any, drive: Drive) -> None:
    heard[:] = [[0.5, 7.0], [12.0, 19.0]]
    broken()
    assert drive(start()).outcome == "success"
    assert sent() == []
    counted = repository.get_memory(UID, MEMORY).accounting["session"]  # type: ignore[index]
    assert (counted["failed"], counted["silence"]) == (0.0, 6.0)


def test_a_memory_is_created_once_and_updated_after_that(drive: Drive) -> None:
    """The app of 2024 opens a new socket for each ``new_memory_created``, which made the next one."""
    conversation(segment(1, fakes.TEXT, 1.0))
    drive(start())
    processing.update(UID, PROCESSING, {"transcript_segments": [segment(1, fakes.TEXT, 1.0), segment(2, "cake", 9.0)]})
    drive(start(again=1))
    told = [item["type"] for item in log.after(UID, 0)]
    assert told == ["new_memory_created", "memory_updated"]


def test_a_memory_spans_what_was_said_and_not_the_socket(drive: Drive) -> None:
    conversation(segment(1, fakes.TEXT, 90.0), timer_starts=[BEGAN])
    processing.update(UID, PROCESSING, {"last_audio": 150.0})
    drive(start())
    made = repository.get_memory(UID, MEMORY)
    assert made.started_at is not None
    assert made.finished_at is not None
    assert (made.started_at.timestamp() - BEGAN, made.finished_at.timestamp() - BEGAN) == (88.0, 96.0)
    assert made.time_zero == STARTED


def test_explain_tells_of_live_sessions(drive: Drive) -> None:
    from io import StringIO

    from django.core.management import call_command

    counted = books(failed=0.0)
    counted["session"] |= {
        "missing": [], "settled": 3.0,
        "vendors": {
            "deepgram": {"connections": 3, "failures": {"1006": 2}, "words": 8, "seconds": 17.0, "shown": True},
        },
    }  # fmt: skip
    conversation(segment(1, fakes.TEXT, 1.0), accounting=counted, timer_starts=[BEGAN], ended="finish")
    drive(start())
    out = StringIO()
    call_command("explain", MEMORY, stdout=out)
    assert "live: 1 sessions, ended by finish" in out.getvalue()
    assert "received 20.00 s: transcribed 14.00 s, silence 3.00 s, failed 0.00 s" in out.getvalue()
    assert "deepgram: heard 17.00 s, 8 words, shown; reconnected 2 times; failures: 1006 x2" in out.getvalue()


def test_pieces_come_back_to_where_they_were_cut_out(tmp_path: Path) -> None:
    source, target = tmp_path / "whole.wav", tmp_path / "pieces.wav"
    source.write_bytes(wav(60.0))
    wanted = [(10.0, 12.0), (40.0, 45.0)]
    pieces = missing_audio.cut(source, wanted, target)
    assert [(piece["start"], piece["seconds"]) for piece in pieces] == [(9.0, 4.0), (39.0, 7.0)]
    spoken = [Word(text="context", start=0.2, end=0.5), Word(text="first", start=1.5, end=1.9),
              Word(text="pause", start=4.1, end=4.3), Word(text="second", start=pieces[1]["at"] + 2.0,
                                                           end=pieces[1]["at"] + 2.4)]  # fmt: skip
    back = missing_audio.put_back(spoken, pieces, wanted)
    assert [(word.text, round(word.start, 2)) for word in back] == [("first", 10.5), ("second", 41.0)]
