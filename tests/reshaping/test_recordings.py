"""The recording of a merged or split memory plays each word where the transcript says it, or is not offered."""

from __future__ import annotations

import struct
import wave
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline.engine import fault_injection
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.accounts import users
from omi.stores import audio
from omi.stores.models import AudioObject
from tests.reshaping.conftest import Make, made_of, merged, said, split
from tests.support.sound import wav

RATE = 16000


def steps(*levels: int, seconds: int = 1) -> bytes:
    """A recording whose samples say which second they belong to."""
    return wav(b"".join(struct.pack("<h", level) * (RATE * seconds) for level in levels))


def kept(memory_id: str, content: bytes) -> None:
    audio.put("alice", "recording", content, memory_id=memory_id, keep_for=None)


def level_at(memory: Memory, second: float) -> int:
    assert memory.recording is not None
    with audio.open(memory.recording) as file, wave.open(file) as source:
        source.setpos(round(second * RATE))
        return int(struct.unpack("<h", source.readframes(1))[0])


def seconds(memory: Memory) -> float:
    assert memory.recording is not None
    with audio.open(memory.recording) as file, wave.open(file) as source:
        return source.getnframes() / RATE


@pytest.fixture(autouse=True)
def _permitted(db: None) -> None:
    users.update_user("alice", store_recording_permission=True)


@pytest.fixture
def near(make: Make) -> list[Memory]:
    """Two talks a minute apart."""
    return [make("one", 0, said("a", "Hello there.", "Hi.")), make("two", 1, said("b", "Good bye.", "See you."))]


def test_the_pause_is_silence_and_each_word_is_heard_at_its_time(near: list[Memory]) -> None:
    kept("one", steps(100, 101, 102, 103, 104, 105, 106, 107, 108, 109))
    kept("two", steps(200, 201, 202, 203, 204, 205))
    row = merged("one", "two")
    (memory,) = made_of(row)
    assert row.recording == "kept"
    first_of_second = memory.transcript_segments[2]
    assert first_of_second.start == 60.0
    assert [level_at(memory, at) for at in (5.5, 30.0, first_of_second.start + 0.5, 65.5)] == [105, 0, 200, 205]
    assert seconds(memory) == 66.0


def test_a_little_overlap_is_cut_so_that_the_second_one_is_in_its_place(near: list[Memory]) -> None:
    kept("one", steps(*range(1, 62)))  # 61 seconds: one into the next
    kept("two", steps(900, 901))
    (memory,) = made_of(merged("one", "two"))
    assert (level_at(memory, 60.2), seconds(memory)) == (900, 62.0)


@pytest.mark.parametrize(
    ("one", "two", "reason"),
    [
        (steps(1, 2), None, "partly_recorded"), (None, None, "not_recorded"),
        (steps(*range(70)), steps(1, 2), "overlapping"), (b"not a recording", steps(1), "unreadable"),
    ],
)  # fmt: skip
def test_what_would_not_be_right_is_not_offered_and_told(
    near: list[Memory], one: bytes | None, two: bytes | None, reason: str
) -> None:
    for name, content in (("one", one), ("two", two)):
        if content is not None:
            kept(name, content)
    row = merged("one", "two")
    (memory,) = made_of(row)
    assert (row.recording, memory.recording, audio.for_memory("alice", memory.id)) == (reason, None, [])


def test_longer_than_a_recording_may_be_there_is_none(near: list[Memory], settings: Any) -> None:
    settings.OMI_MAX_RECORDING_SECONDS = 60
    kept("one", steps(1))
    kept("two", steps(2))
    assert merged("one", "two").recording == "too_long"


def test_without_permission_nothing_is_copied(near: list[Memory]) -> None:
    kept("one", steps(1))
    kept("two", steps(2))
    users.update_user("alice", store_recording_permission=False)
    assert merged("one", "two").recording == "not_permitted"


def test_what_an_earlier_try_made_of_other_words_is_made_anew(
    near: list[Memory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original was transcribed anew between the copy and the transaction: it is cut elsewhere now."""
    kept("one", steps(100, 101, 102, 103, 104, 105, 106, 107))
    changed = []

    def point(here: str) -> None:
        if here == "reshaping-prepared" and not changed:
            first, second = repository.get_memory("alice", "one").transcript_segments
            later = second.model_copy(update={"start": 6.0})
            changed.append(repository.update_memory("alice", "one", {"transcript_segments": [first, later]}))

    monkeypatch.setattr(fault_injection, "point", point)
    first, second = made_of(split("one", "a1"))
    assert (seconds(first), seconds(second), level_at(second, 0.0)) == (6.0, 2.0, 106)
    assert [len(audio.for_memory("alice", part.id, "recording")) for part in (first, second)] == [1, 1]


def test_a_split_recording_begins_with_its_own_words(near: list[Memory]) -> None:
    kept("one", steps(100, 101, 102, 103, 104, 105, 106, 107))
    first, second = made_of(split("one", "a1"))
    assert (seconds(first), level_at(first, 4.5)) == (5.0, 104)
    assert (seconds(second), level_at(second, 0.0), level_at(second, 2.5)) == (3.0, 105, 107)
    original = repository.find_memory("alice", "one")
    assert original is not None
    assert len(audio.for_memory("alice", "one", "recording")) == 1


def test_a_merged_recording_goes_when_the_oldest_of_its_parts_would_have_gone(near: list[Memory]) -> None:
    kept("one", steps(100, 101, 102))
    kept("two", steps(200, 201))
    day = timedelta(days=1)
    AudioObject.objects.filter(memory_id="one").update(created_at=timezone.now() - 20 * day)
    users.update_user("alice", recordings_keep_days=30)
    (memory,) = made_of(merged("one", "two"))
    (row,) = AudioObject.objects.filter(name=memory.recording)
    assert row.delete_after is not None
    assert 9 * day < row.delete_after - timezone.now() < 10 * day
