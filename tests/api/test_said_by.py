"""What a person may say of a voice is the same at every door (the socket's is in tests/transcription)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memories.api.shapes import AssignVoice
from speakers import people
from tests.api.conftest import Caller


def creation(**segment: Any) -> dict[str, Any]:
    began = datetime.now(UTC) - timedelta(hours=1)
    return {
        "started_at": began.isoformat(),
        "finished_at": (began + timedelta(seconds=20)).isoformat(),
        "transcript_segments": [{"text": "Hello.", "start": 0.0, "end": 2.0, **segment}],
    }


@pytest.mark.parametrize(
    "segment",
    [
        {"id": "x" * 5000},
        {"id": "a b"},
        {"id": "<script>"},
        {"person_id": "p" * 20_000},
        {"person_id": "a/b"},
        {"stt_provider": "s" * 5000},
        {"speaker": "SPEAKER_00\n"},
        {"speaker": "A" * 200_000 + "_1"},
    ],
)
def test_a_posted_segment_with_an_absurd_id_is_refused(alice: Caller, segment: dict[str, Any]) -> None:
    if segment == {"id": "<script>"}:  # printable: kept, and shown as text
        assert alice.send("POST", "/v1/memories?trigger_integrations=false", creation(**segment)).status_code == 200
        return
    answer = alice.send("POST", "/v1/memories?trigger_integrations=false", creation(**segment))
    assert answer.status_code == 422, answer.content
    assert "transcript_segments" in answer.content.decode()


@pytest.mark.parametrize("identity", [None, ""])
def test_a_posted_segment_without_an_id_gets_one(alice: Caller, identity: str | None) -> None:
    answer = alice.send("POST", "/v1/memories?trigger_integrations=false", creation(id=identity, person_id=identity))
    assert answer.status_code == 200, answer.content
    [segment] = answer.json()["memory"]["transcript_segments"]
    assert len(segment["id"]) == 36
    assert segment["person_id"] is None


def test_a_posted_segment_names_the_users_own_people_only(alice: Caller, bob: Caller) -> None:
    mine, theirs = people.create_person("alice", "Anna").id, people.create_person("bob", "Bert").id
    gone = people.create_person("alice", "Gone").id
    people.delete_person("alice", gone)
    for given, kept in ((mine, mine), (theirs, None), (gone, None), ("nobody", None)):
        answer = alice.send("POST", "/v1/memories?trigger_integrations=false", creation(person_id=given))
        [segment] = answer.json()["memory"]["transcript_segments"]
        assert segment["person_id"] == kept
        assert segment["text"] == "Hello."


@pytest.mark.parametrize(
    "body",
    [
        {"segment_ids": ["x" * 65], "is_user": True},
        {"segment_ids": ["a"], "person_id": "p" * 129},
        {"segment_ids": ["a"], "person_id": "a/b"},
        {"speaker": "s" * 5000, "is_user": True},
    ],
)
def test_an_assignment_is_held_to_the_same_bounds(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        AssignVoice.model_validate(body)


@pytest.mark.parametrize(
    "wrong",
    [
        {"started_at": "0001-01-01T00:00:00+14:00"},
        {"started_at": "9999-12-31T23:59:59-14:00"},
        {"finished_at": "9999-12-31T23:59:59-14:00"},
        {"finished_at": "9999-12-31T23:59:59"},
        {"transcript_segments": [{"text": "Hello.", "start": 1e308, "end": 1e308}]},
        {"transcript_segments": [{"text": "Hello.", "start": 0, "end": 1e300}]},
    ],
)
def test_a_posted_moment_that_no_calendar_or_clock_can_show_is_refused(alice: Caller, wrong: dict[str, Any]) -> None:
    answer = alice.send("POST", "/v1/memories?trigger_integrations=false", {**creation(), **wrong})
    assert answer.status_code == 422, answer.content


@pytest.mark.parametrize(
    "asked",
    [{"start_date": "0001-01-01T00:00:00+14:00"}, {"end_date": "9999-12-31T23:59:59-14:00"}, {"start_date": -2e10}],
)
def test_a_search_for_a_moment_that_no_zone_can_show_is_refused(alice: Caller, asked: dict[str, Any]) -> None:
    answer = alice.send("POST", "/v1/memories/search", {"query": "hello", **asked})
    assert answer.status_code == 422, answer.content
