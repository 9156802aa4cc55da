"""Merging and splitting over HTTP: asked for once however often, bounded, and never of somebody else's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from memories import document_parts
from memories.pipeline.models import DailyUse
from memories.repository import memories as repository
from memories.repository import processing
from memories.reshaping import plans, records
from memories.reshaping.models import Reshaping
from memories.shapes import Memory, ProcessingMemory, UserEdits
from omi.core import clock
from tests.api.conftest import Caller
from tests.reshaping.conftest import Make, said, worked

MERGE = "/v1/memories/merge"


def of(answer: Any) -> Reshaping:
    assert answer.status_code == 200, answer.content
    return Reshaping.objects.get(pk=answer.json()["id"])


def test_merged_looked_at_and_undone(pair: list[Memory], alice: Caller) -> None:
    asked = alice.send("POST", MERGE, {"memory_ids": ["two", "one"]})
    row = of(asked)
    told = asked.json()
    assert (told["state"], told["originals"], told["undo_until"]) == ("making", ["two", "one"], None)
    worked(row)
    told = alice.get(f"/v1/reshapings/{row.pk}").json()
    assert (told["state"], told["recording"], told["message"]) == ("done", "not_permitted", None)
    assert told["undo_until"] > told["done_at"]
    result = told["made"][0]
    assert [memory["id"] for memory in alice.get("/v1/memories").json()] == [result]
    assert alice.get("/v1/memories/one").status_code == 404
    assert [item["id"] for item in alice.get(f"/v1/reshapings?memory_id={result}").json()] == [row.pk]
    assert alice.get("/v1/reshapings?memory_id=nothing").json() == []
    undone = alice.send("POST", f"/v1/reshapings/{row.pk}/undo").json()
    assert undone["state"] == "undoing"
    worked(row)
    assert alice.send("POST", f"/v1/reshapings/{row.pk}/undo").json()["state"] == "undone"
    assert {memory["id"] for memory in alice.get("/v1/memories").json()} == {"one", "two"}


def test_the_same_set_is_one_merge_whenever_it_is_asked_for(pair: list[Memory], alice: Caller) -> None:
    first = of(alice.send("POST", MERGE, {"memory_ids": ["one", "two"]}))
    assert of(alice.send("POST", MERGE, {"memory_ids": ["two", "one"]})).pk == first.pk
    worked(first)
    assert of(alice.send("POST", MERGE, {"memory_ids": ["one", "two"]})).state == "done"
    assert Reshaping.objects.count() == 1


def test_split_over_http(pair: list[Memory], alice: Caller) -> None:
    row = worked(of(alice.send("POST", "/v1/memories/one/split", {"segment_id": "a1"})))
    told = alice.get(f"/v1/reshapings/{row.pk}").json()
    texts = [[item["text"] for item in alice.get(f"/v1/memories/{name}").json()["transcript_segments"]]
             for name in told["made"]]  # fmt: skip
    assert texts == [["We take the boat on Sunday."], ["Bring the yellow jackets.", "I buy bread."]]
    assert alice.send("POST", "/v1/memories/two/split", {"segment_id": "x"}).json() == {"detail": "Segment not found"}
    refused = alice.send("POST", "/v1/memories/two/split", {"segment_id": "b0"})
    assert (refused.status_code, refused.json()["code"]) == (409, "empty_part")


@pytest.mark.parametrize(
    "body",
    [{}, {"memory_ids": ["one"]}, {"memory_ids": ["one", "one"]}, {"memory_ids": ["one", "a/b"]},
     {"memory_ids": [f"m{number}" for number in range(21)]}, {"memory_ids": ["one", "two"], "more": 1}],
)  # fmt: skip
def test_what_does_not_fit_is_422(pair: list[Memory], alice: Caller, body: dict[str, Any]) -> None:
    answer = alice.send("POST", MERGE, body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "body"


def test_somebody_elses_memory_is_not_found_and_nothing_begins(pair: list[Memory], bob: Caller, alice: Caller) -> None:
    assert bob.send("POST", MERGE, {"memory_ids": ["one", "two"]}).status_code == 404
    assert bob.send("POST", "/v1/memories/one/split", {"segment_id": "a1"}).status_code == 404
    row = of(alice.send("POST", MERGE, {"memory_ids": ["one", "two"]}))
    assert bob.get(f"/v1/reshapings/{row.pk}").json() == {"detail": "Reshaping not found"}
    assert bob.send("POST", f"/v1/reshapings/{row.pk}/undo").status_code == 404
    assert bob.get("/v1/reshapings").json() == []


def test_a_memory_is_part_of_one_reshaping_at_a_time(pair: list[Memory], alice: Caller) -> None:
    row = of(alice.send("POST", MERGE, {"memory_ids": ["one", "two"]}))
    refused = alice.send("POST", "/v1/memories/one/split", {"segment_id": "a1"})
    assert (refused.status_code, refused.json()["code"]) == (409, "under_way")
    assert alice.send("POST", f"/v1/reshapings/{row.pk}/undo").json()["code"] == "not_done"
    assert DailyUse.objects.get(uid="alice", kind="runs").amount == 1  # the refused one cost nothing


def test_no_more_are_under_way_than_may_be(make: Make, alice: Caller) -> None:
    for number in range(records.MOST_AT_ONCE + 1):
        make(f"m{number}", number, said(f"m{number}", "Hello.", "Bye."))
        answer = alice.send("POST", f"/v1/memories/m{number}/split", {"segment_id": f"m{number}1"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "30")


def test_what_is_a_day_apart_is_not_one_conversation(make: Make, alice: Caller) -> None:
    make("one", 0, said("a", "Hello."))
    make("two", 24 * 60, said("b", "Hello again."))
    refused = alice.send("POST", MERGE, {"memory_ids": ["one", "two"]})
    assert (refused.status_code, refused.json()) == (
        409, {"detail": plans.REASONS["too_long"], "code": "too_long"}
    )  # fmt: skip


def test_together_they_have_no_more_comments_than_one_may(
    make: Make, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_parts, "MOST_COMMENTS", 1)
    for number, name in enumerate(("one", "two")):
        note = document_parts.Comment(id=f"cm_{name}", text="Mine", at=clock.now())
        make(name, number, said(name, "Hello."), edits=UserEdits(comments=[note]))
    refused = alice.send("POST", MERGE, {"memory_ids": ["one", "two"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_large")


def test_a_conversation_that_still_goes_on_is_not_merged(make: Make, alice: Caller) -> None:
    """Words that come to a memory which is hidden would be lost."""
    now = clock.now()
    processing.create("alice", ProcessingMemory(id="p1", created_at=now, timer_start=clock.time(), last_audio=1.0))
    make("one", 0, said("a", "Hello."), processing_memory_id="p1")
    make("two", 1, said("b", "Bye."))
    asked = {"memory_ids": ["one", "two"]}
    assert alice.send("POST", MERGE, asked).json()["code"] == "going_on"
    processing.update("alice", "p1", {"ended": "finish"})
    assert alice.send("POST", MERGE, asked).status_code == 200


def test_it_counts_as_runs_of_the_day(pair: list[Memory], alice: Caller, settings: Any) -> None:
    settings.OMI_RUNS_PER_DAY = 1
    assert alice.send("POST", MERGE, {"memory_ids": ["one", "two"]}).status_code == 200
    other = alice.send("POST", "/v1/memories/two/split", {"segment_id": "b1"})
    assert (other.status_code, "Retry-After" in other.headers) == (429, True)


def test_the_app_is_told_what_replaced_what(pair: list[Memory], alice: Caller) -> None:
    from memories.user_events.models import UserEvent

    row = worked(of(alice.send("POST", MERGE, {"memory_ids": ["one", "two"]})))
    (result,) = [item.memory_id for item in row.memories.filter(made=True)]
    told = UserEvent.objects.filter(uid="alice").order_by("number").values_list("type", "memory_id")
    assert list(told) == [
        ("memory_replaced", "one"), ("memory_replaced", "two"), ("new_memory_created", result),
    ]  # fmt: skip
    assert UserEvent.objects.get(memory_id="two").payload["replaced_by"] == [result]


def test_too_late_is_said(pair: list[Memory], alice: Caller) -> None:
    row = worked(of(alice.send("POST", MERGE, {"memory_ids": ["one", "two"]})))
    assert row.done_at is not None
    Reshaping.objects.update(done_at=row.done_at - timedelta(days=31))
    refused = alice.send("POST", f"/v1/reshapings/{row.pk}/undo")
    assert (refused.status_code, refused.json()["code"]) == (409, "too_late")
    assert alice.get(f"/v1/reshapings/{row.pk}").json()["undo_until"] is None
    assert repository.find_memory("alice", "one") is not None
