"""What a user decides: assignments, calendar flags, visibility, another transcript."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from memories import editing
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Geolocation, Memory
from speakers import people
from speakers.models import SpeakerDecision
from tests.api.conftest import Caller, segment

Make = Callable[..., Memory]


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any) -> list[tuple[Any, ...]]:
    """What would be handed to a worker."""
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr("django_q.tasks.async_task", lambda *args, **kwargs: sent.append(args))
    return sent


def assign(caller: Caller, memory: Memory, index: int, query: str) -> Any:
    return caller.send("PATCH", f"/v1/memories/{memory.id}/segments/{index}/assign?{query}")


def test_assigning_a_segment_labels_its_voice_and_is_kept_apart(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    body = assign(alice, memory, 0, "assign_type=is_user&value=true").json()
    assert [item["is_user"] for item in body["transcript_segments"]] == [True, False, True]
    assert set(body["edits"]["segments"]) == {"s0"}, "the others follow; it was said of this one"
    assert body["edits"]["segments"]["s0"]["is_user"] is True
    person = people.create_person("alice", "Anna")
    body = assign(alice, memory, 1, f"assign_type=person_id&value={person.id}").json()
    assert body["transcript_segments"][1]["person_id"] == person.id
    body = assign(alice, memory, 0, "assign_type=is_user&value=null").json()
    assert [item["is_user"] for item in body["transcript_segments"]] == [False, False, False]
    assert "s0" not in body["edits"]["segments"]


def test_what_a_person_said_of_another_segment_of_the_voice_stays(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    anna = people.create_person("alice", "Anna")
    assign(alice, memory, 2, f"assign_type=person_id&value={anna.id}")
    body = assign(alice, memory, 0, "assign_type=is_user&value=true").json()
    assert [(item["is_user"], item["person_id"]) for item in body["transcript_segments"]] == [
        (True, None),
        (False, None),
        (False, anna.id),
    ]
    body = assign(alice, memory, 0, "assign_type=is_user&value=false").json()
    assert body["transcript_segments"][2]["person_id"] == anna.id


def decision(memory: Memory) -> tuple[bool, str, bool]:
    row = SpeakerDecision.objects.get(memory_id=memory.id, voice="SPEAKER_00")
    return row.is_user, row.person_id, row.manual


def test_the_explanation_follows_what_the_user_says_last(alice: Caller, make_memory: Make) -> None:
    """The second assignment of a voice left the first one's name in the explanation; taking it back left it, too."""
    memory = make_memory()
    SpeakerDecision.objects.create(uid="alice", memory_id=memory.id, voice="SPEAKER_00", reason="below_threshold")
    anna = people.create_person("alice", "Anna")
    assign(alice, memory, 0, "assign_type=is_user&value=true")
    assert decision(memory) == (True, "", True)
    assign(alice, memory, 0, f"assign_type=person_id&value={anna.id}")
    assert decision(memory) == (False, anna.id, True)
    assign(alice, memory, 0, "assign_type=person_id&value=null")
    assert decision(memory) == (False, "", False)
    shown = alice.get(f"/v1/memories/{memory.id}/speakers").json()
    assert shown[0]["decision"]["reason"] == "withdrawn"
    assign(alice, memory, 0, "assign_type=is_user&value=true")
    assign(alice, memory, 0, "assign_type=is_user&value=false")
    assert decision(memory) == (False, "", False), "that one segment is nobody says nothing of the voice"


def test_segments_that_disagree_name_no_voice(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    SpeakerDecision.objects.create(uid="alice", memory_id=memory.id, voice="SPEAKER_00", reason="below_threshold")
    anna = people.create_person("alice", "Anna")
    assign(alice, memory, 0, "assign_type=is_user&value=true")
    assign(alice, memory, 2, f"assign_type=person_id&value={anna.id}")
    assert decision(memory) == (False, "", False)


def test_a_voice_named_in_another_transcript_does_not_stop_a_name_from_spreading(
    alice: Caller, make_memory: Make
) -> None:
    memory = make_memory(active_transcript="soniox_streaming")
    url = f"/v1/memories/{memory.id}/segments/assign-bulk"
    assert alice.send("PATCH", url, {"speaker": "SPEAKER_00", "is_user": True}).status_code == 200
    other = [segment("f0", "Take it.", "SPEAKER_00", 50, 53), segment("f1", "Now.", "SPEAKER_00", 55, 59)]
    transcripts.save_transcript("alice", memory.id, "fal_whisperx", other, {})
    alice.send("POST", f"/v1/memories/{memory.id}/transcripts/fal_whisperx/activate")
    anna = people.create_person("alice", "Anna")
    body = assign(alice, memory, 0, f"assign_type=person_id&value={anna.id}").json()
    assert [item["person_id"] for item in body["transcript_segments"]] == [anna.id, anna.id]


def test_a_segment_that_is_replaced_in_the_meantime_is_a_conflict(
    alice: Caller, make_memory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the index and the write another run may put another transcript in place."""
    memory = make_memory()
    real = repository.mutate_memory

    def later(uid: str, memory_id: str, change: Callable[[Memory], dict[str, Any]]) -> Memory:
        new = [segment("n0", "Another.", "SPEAKER_00", 0, 3)]
        real(uid, memory_id, lambda item: {"transcript_segments": new})
        return real(uid, memory_id, change)

    monkeypatch.setattr(repository, "mutate_memory", later)
    answer = assign(alice, memory, 0, "assign_type=is_user&value=true")
    assert (answer.status_code, answer.json()["unresolved"]) == (409, ["s0"])
    assert not repository.get_memory("alice", memory.id).edits.segments


def test_false_is_false(alice: Caller, make_memory: Make) -> None:
    """A fault of the original: the string "false" was true."""
    memory = make_memory()
    assign(alice, memory, 0, "assign_type=is_user&value=true")
    body = assign(alice, memory, 0, "assign_type=is_user&value=false").json()
    assert body["transcript_segments"][0]["is_user"] is False
    assert body["edits"]["segments"]["s0"]["is_user"] is False  # nobody, and that was decided


@pytest.mark.parametrize(
    ("index", "query", "code", "detail"),
    [
        (0, "assign_type=colour&value=1", 400, "Invalid assign type"),
        (0, "assign_type=person_id&value=nobody", 404, "Person not found"),
        (99, "assign_type=is_user&value=true", 422, "Segment not found"),
        (0, "assign_type=is_user&value=perhaps", 422, None),
        (0, "value=true", 422, None),
    ],
)
def test_a_refused_assignment_changes_nothing(
    alice: Caller, make_memory: Make, index: int, query: str, code: int, detail: str | None
) -> None:
    """A fault of the original: an index out of range was a 500, and labels were stored before the refusal."""
    memory = make_memory()
    before = repository.get_memory("alice", memory.id)
    answer = assign(alice, memory, index, query)
    assert answer.status_code == code
    assert detail is None or answer.json()["detail"] == detail
    assert repository.get_memory("alice", memory.id) == before


def test_somebody_elses_person_cannot_be_assigned(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    his = people.create_person("bob", "Carl")
    assert assign(alice, memory, 0, f"assign_type=person_id&value={his.id}").status_code == 404


def test_a_sample_is_learned_only_from_more_than_five_words(
    alice: Caller, make_memory: Make, tasks: list[tuple[Any, ...]], django_capture_on_commit_callbacks: Any
) -> None:
    memory = make_memory()
    for index, query, taken in [
        (0, "value=true", True),
        (1, "value=true", False),
        (0, "value=true&use_for_speech_training=false", False),
        (0, "value=null", False),
    ]:
        tasks.clear()
        with django_capture_on_commit_callbacks(execute=True):
            assert assign(alice, memory, index, f"assign_type=is_user&{query}").status_code == 200
        assert [(task[0], task[-1]) for task in tasks] == [("memories.voice_learning.from_segment", taken)], query


def test_a_voice_of_thousands_of_segments_is_a_few_tasks(
    alice: Caller, make_memory: Make, tasks: list[tuple[Any, ...]], django_capture_on_commit_callbacks: Any
) -> None:
    """Each was a task: 3,000 stood before everybody else's runs, and read the whole memory each."""
    long, short = "We take the boat to the island on Sunday.", "Good."
    spoken = [segment(f"s{n}", short if n % 3 else long, "SPEAKER_00", n, n + 0.5 + n / 10_000) for n in range(3000)]
    memory = make_memory(transcript_segments=spoken)
    with django_capture_on_commit_callbacks(execute=True):
        answer = alice.send(
            "PATCH",
            f"/v1/memories/{memory.id}/segments/assign-bulk",
            {"speaker": "SPEAKER_00", "is_user": True, "use_for_speech_training": True},
        )
    assert answer.status_code == 200
    taught = [task for task in tasks if task[0] == "memories.voice_learning.from_segment"]
    assert [(task[3], task[-1]) for task in taught[:2]] == [("s2997", True), ("s2994", True)]
    assert len(taught) == editing.MOST_TAUGHT
    (_, _, _, shorts, nobody), (_, _, _, longs, user) = tasks[len(taught) :]
    assert (len(shorts), nobody, len(longs), user) == (2000, None, 980, "")


def test_bulk_assignment_names_a_voice_everywhere_or_nothing(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    url = f"/v1/memories/{memory.id}/segments/assign-bulk"
    body = alice.send("PATCH", url, {"speaker": "SPEAKER_00", "is_user": True}).json()
    assert [item["is_user"] for item in body["transcript_segments"]] == [True, False, True]
    assert alice.send("PATCH", url, {"segment_ids": ["s1", "gone"], "is_user": True}).json()["unresolved"] == ["gone"]
    answer = alice.send("PATCH", url, {"segment_indexes": [1, 7], "is_user": True})
    assert (answer.status_code, answer.json()["unresolved"]) == (409, [7])
    assert alice.send("PATCH", url, {"is_user": True}).status_code == 409
    assert [item.is_user for item in repository.get_memory("alice", memory.id).transcript_segments] == [
        True,
        False,
        True,
    ]
    shown = alice.get(f"/v1/memories/{memory.id}/speakers").json()
    assert [(item["speaker"], item["is_user"], item["seconds"], item["decided_by_user"]) for item in shown] == [
        ("SPEAKER_00", True, 8.0, True),
        ("SPEAKER_01", False, 1.0, False),
    ]


def test_calendar_flags(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    url = f"/v1/memories/{memory.id}/events"
    assert alice.send("PATCH", url, {"events_idx": [0, 9], "values": [True, True]}).json() == {"status": "Ok"}
    assert alice.get(f"/v1/memories/{memory.id}").json()["structured"]["events"][0]["created"] is True
    assert alice.send("PATCH", url, {"events_idx": [0], "values": []}).status_code == 422


def test_only_shared_and_public_memories_are_seen_without_a_token(alice: Caller, make_memory: Make) -> None:
    memory = make_memory(geolocation=Geolocation(latitude=1.0, longitude=2.0))
    shared = f"/v1/memories/{memory.id}/shared"
    anybody = Client()
    assert (anybody.get(shared).status_code, anybody.get(shared).json()) == (404, {"detail": "Memory is private"})
    assert alice.send("PATCH", f"/v1/memories/{memory.id}/visibility?value=shared").json() == {"status": "Ok"}
    body = anybody.get(shared).json()
    assert (body["geolocation"], body["structured"]["title"]) == (None, "Boat trip")
    assert "geolocation" in body
    assert anybody.get("/v1/public-memories").json() == []
    alice.send("PATCH", f"/v1/memories/{memory.id}/visibility?visibility=public")
    make_memory("bob", visibility="public", discarded=True)
    assert [item["id"] for item in anybody.get("/v1/public-memories").json()] == [memory.id]
    repository.delete_memory("alice", memory.id)
    assert anybody.get("/v1/public-memories").json() == []
    assert anybody.get(shared).status_code == 404
    assert alice.send("PATCH", f"/v1/memories/{memory.id}/visibility?value=secret").status_code == 422


def test_transcripts_have_the_four_keys_and_another_one_can_be_shown(alice: Caller, make_memory: Make) -> None:
    memory = make_memory(active_transcript="soniox_streaming")
    assign(alice, memory, 0, "assign_type=is_user&value=true")
    other = [segment("f1", "Later.", "SPEAKER_07", 5, 9), segment("f0", "We take the boat.", "SPEAKER_07", 0.5, 3.5)]
    transcripts.save_transcript("alice", memory.id, "fal_whisperx", other, {})
    transcripts.save_transcript("alice", memory.id, "deepgram_streaming", [], {})
    body = alice.get(f"/v1/memories/{memory.id}/transcripts").json()
    assert set(body) == {"deepgram", "soniox", "speechmatics", "whisperx"}
    assert [item["id"] for item in body["whisperx"]] == ["f0", "f1"]
    shown = alice.send("POST", f"/v1/memories/{memory.id}/transcripts/fal_whisperx/activate").json()
    assert (shown["active_transcript"], len(shown["transcript_segments"])) == ("fal_whisperx", 2)
    assert [item["is_user"] for item in shown["transcript_segments"]] == [True, False]  # the decision holds
    assert PostProcessingRun.objects.get(memory_id=memory.id).kind == "reprocess"
    assert alice.send("POST", f"/v1/memories/{memory.id}/transcripts/deepgram_streaming/activate").status_code == 409
    assert alice.send("POST", f"/v1/memories/{memory.id}/transcripts/unknown/activate").status_code == 404
