"""Two voices become one and one becomes two: in the transcript that is shown, in every later one, and back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from memories.changes import making, voices
from memories.pipeline.rules import changes as rules
from memories.pipeline.rules import voices as voice_rules
from memories.repository import memories as repository
from memories.repository import tombstones
from memories.shapes import Change, Memory, UserEdits
from tests.api.conftest import Caller, segment
from transcription.segments import Segment

Make = Callable[..., Memory]
M = "/v1/memories/alice-memory-1"
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def talk(prefix: str, *speakers: str, shift: float = 0.0) -> list[Segment]:
    """Ten seconds for each voice in turn."""
    return [
        segment(f"{prefix}{number}", f"Sentence {number}.", speaker, 10.0 * number + shift, 10.0 * number + 9 + shift)
        for number, speaker in enumerate(speakers)
    ]


def labels(memory: Memory | list[Segment]) -> list[str]:
    """The last digit of each label."""
    segments = memory.transcript_segments if isinstance(memory, Memory) else memory
    return [item.speaker[-1] for item in segments]


def who(memory: Memory) -> list[str | None]:
    return [item.person_id for item in memory.transcript_segments]


@pytest.fixture
def memory(make_memory: Make) -> Memory:
    """Three voices, of which Ann is the second."""
    said = talk("a", "SPEAKER_00", "SPEAKER_01", "SPEAKER_02", "SPEAKER_01", "SPEAKER_00")
    said = [item.model_copy(update={"person_id": "ann"}) if item.speaker == "SPEAKER_01" else item for item in said]
    return make_memory("alice", transcript_segments=said)


def nothing() -> None:
    """The fence of a user whose account is there."""


def test_two_voices_become_one_with_its_name_and_back(memory: Memory) -> None:
    merged = voices.merge("alice", memory.id, "SPEAKER_02", "SPEAKER_01", fence=nothing)
    assert (labels(merged), who(merged)) == (["0", "1", "1", "1", "0"], [None, "ann", "ann", "ann", None])
    assert merged.heard() == memory.transcript_segments
    making.undo("alice", memory.id, merged.edits.changes[0].id, fence=nothing)
    assert repository.get_memory("alice", memory.id).transcript_segments == memory.transcript_segments


def test_the_name_is_the_named_ones_whichever_way_round(memory: Memory) -> None:
    merged = voices.merge("alice", memory.id, "SPEAKER_01", "SPEAKER_02", fence=nothing)
    assert (labels(merged), who(merged)) == (["0", "2", "2", "2", "0"], [None, "ann", "ann", "ann", None])
    assert merged.heard() == memory.transcript_segments


def test_passages_of_a_voice_become_another_that_nobody_is_known_of(memory: Memory) -> None:
    parted, label = voices.split("alice", memory.id, ["a3"], fence=nothing)
    assert label == "SPEAKER_03"
    assert (labels(parted), who(parted)) == (["0", "1", "2", "3", "0"], [None, "ann", None, None, None])
    assert parted.heard() == memory.transcript_segments


def test_operations_in_a_row_are_undone_in_any_order(memory: Memory) -> None:
    first = voices.merge("alice", memory.id, "SPEAKER_02", "SPEAKER_00", fence=nothing)
    second, _ = voices.split("alice", memory.id, ["a0"], fence=nothing)
    assert (labels(first), labels(second)) == (["0", "1", "0", "1", "0"], ["3", "1", "0", "1", "0"])
    assert second.heard() == memory.transcript_segments
    making.undo("alice", memory.id, second.edits.changes[0].id, fence=nothing)
    now = repository.get_memory("alice", memory.id)
    assert labels(now) == ["3", "1", "2", "1", "0"]
    making.undo("alice", memory.id, second.edits.changes[1].id, fence=nothing)
    assert repository.get_memory("alice", memory.id).transcript_segments == memory.transcript_segments


def test_a_sentence_and_a_voice_are_changed_together_and_neither_loses_the_other(memory: Memory) -> None:
    making.set_text("alice", memory.id, "a2", "Corrected.", fence=nothing)
    both = voices.merge("alice", memory.id, "SPEAKER_02", "SPEAKER_01", fence=nothing)
    assert (both.transcript_segments[2].text, labels(both)[2]) == ("Corrected.", "1")
    making.undo("alice", memory.id, both.edits.changes[0].id, fence=nothing)
    now = repository.get_memory("alice", memory.id)
    assert (now.transcript_segments[2].text, labels(now)[2]) == ("Sentence 2.", "1")


MERGED = Change(
    id="m", kind="voice_merge", at=NOW, voice="SPEAKER_02", into="SPEAKER_01",
    spans=[20.0, 29.0], into_spans=[10.0, 19.0, 30.0, 39.0],
)  # fmt: skip
PARTED = Change(id="p", kind="voice_split", at=NOW, voice="SPEAKER_01", into="SPEAKER_03", spans=[30.0, 39.0])


@pytest.mark.parametrize(
    ("change", "heard", "shown"),
    [
        (MERGED, ["5", "7", "6", "7", "5"], ["5", "7", "7", "7", "5"]),
        (MERGED, ["5", "7", "7", "7", "5"], ["5", "7", "7", "7", "5"]),
        (MERGED, ["2", "0", "1", "0", "2"], ["2", "0", "0", "0", "2"]),
        (PARTED, ["5", "7", "6", "7", "5"], ["5", "7", "6", "3", "5"]),
        (PARTED, ["3", "1", "2", "1", "3"], ["3", "1", "2", "4", "3"]),
    ],
    ids=["other labels", "told as one already", "the same labels of others", "parted", "its label is taken"],
)
def test_in_another_transcript_the_voices_are_found_by_their_time(
    change: Change, heard: list[str], shown: list[str]
) -> None:
    other = talk("x", *(f"SPEAKER_0{number}" for number in heard), shift=0.4)
    laid, edits = rules.lay(other, UserEdits(changes=[change]))
    assert labels(laid) == shown
    assert edits.changes[0].orphaned is False
    held = Memory(id="m", created_at=NOW, transcript_segments=laid, edits=edits)
    assert held.heard() == other


def test_where_nobody_speaks_at_that_time_nothing_changes_and_it_is_found_again_later() -> None:
    short = talk("x", "SPEAKER_00", "SPEAKER_01")
    laid, edits = rules.lay(short, UserEdits(changes=[MERGED]))
    assert (laid, edits.changes[0].orphaned) == (short, True)
    again, edits = rules.lay(talk("y", *(f"SPEAKER_0{n}" for n in "01210")), edits)
    assert (labels(again), edits.changes[0].orphaned) == (["0", "1", "1", "1", "0"], False)


def test_the_name_that_the_new_voice_was_given_is_kept_in_another_transcript(memory: Memory) -> None:
    _, label = voices.split("alice", memory.id, ["a3"], fence=nothing)
    said = {"is_user": False, "person_id": "ben", "transcript": None, "version": None}
    edits = repository.get_memory("alice", memory.id).edits.model_copy(update={"speakers": {label: said}})
    laid, _ = rules.lay(talk("x", *(f"SPEAKER_0{n}" for n in "57675")), edits)
    assert [item.person_id for item in laid] == [None, None, None, "ben", None]


def test_what_was_said_of_one_passage_holds_within_the_voice(memory: Memory) -> None:
    said = {"is_user": True, "person_id": None, "start": 20.0, "end": 29.0}
    repository.update_memory("alice", memory.id, {"edits.segments": {"a2": said}})
    merged = voices.merge("alice", memory.id, "SPEAKER_02", "SPEAKER_01", fence=nothing)
    assert (labels(merged)[2], merged.transcript_segments[2].is_user) == ("1", True)


def test_no_more_segments_change_than_a_document_holds(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_rules, "MOST_MOVED", 1)
    voices.split("alice", memory.id, ["a3"], fence=nothing)
    with pytest.raises(rules.TooManyChanges):
        voices.merge("alice", memory.id, "SPEAKER_02", "SPEAKER_01", fence=nothing)


def test_who_is_deleted_does_not_come_back_by_undoing() -> None:
    kept = MERGED.model_copy(update={"places": {"a1": "SPEAKER_01"}, "names": {"a1": {"person_id": "ann"}}})
    data = {"edits": {"changes": [kept.model_dump()]}}
    assert tombstones.names_anybody(data)
    cleared = tombstones.cleared(data, frozenset({"ann"}))
    assert cleared["edits"]["changes"][0]["names"] == {"a1": {"is_user": False, "person_id": None}}
    assert tombstones.cleared(data, frozenset({"ben"})) is data


def test_over_http(memory: Memory, alice: Caller, bob: Caller) -> None:
    merge, part = f"{M}/voices/merge", f"{M}/voices/split"
    assert bob.send("POST", merge, {"voice": "SPEAKER_02", "into": "SPEAKER_01"}).status_code == 404
    answer = alice.send("POST", merge, {"voice": "SPEAKER_02", "into": "SPEAKER_01"})
    assert [item["speaker_id"] for item in answer.json()["transcript_segments"]] == [0, 1, 1, 1, 0]
    answer = alice.send("POST", part, {"segment_ids": ["a0"]})
    assert [item["speaker_id"] for item in answer.json()["transcript_segments"]] == [3, 1, 1, 1, 0]
    told = alice.get(f"{M}/changes").json()
    assert [(item["kind"], item["before"], item["after"], item["state"]) for item in told] == [
        ("voice_split", "SPEAKER_00", "SPEAKER_03", "active"), ("voice_merge", "SPEAKER_02", "SPEAKER_01", "active"),
    ]  # fmt: skip
    assert alice.send("POST", f"{M}/changes/{told[1]['id']}/undo").json()["state"] == "undone"
    assert [item["speaker_id"] for item in alice.get(M).json()["transcript_segments"]] == [3, 1, 2, 1, 0]
    for path, body, code in (
        (merge, {"voice": "SPEAKER_09", "into": "SPEAKER_01"}, 404), (merge, {"voice": "SPEAKER_01"}, 422),
        (merge, {"voice": "SPEAKER_01", "into": "SPEAKER_01"}, 404), (part, {"segment_ids": []}, 422),
        (part, {"segment_ids": ["none"]}, 404), (part, {"segment_ids": ["a2"]}, 409),
        (part, {"segment_ids": ["a1", "a4"]}, 409),
    ):  # fmt: skip
        assert alice.send("POST", path, body).status_code == code, (path, body)
