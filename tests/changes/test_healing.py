"""Healing old transcripts: looked at, done in parts, taken back as a whole, by their owner only."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.api.healing import shown_of
from memories.changes import healing
from memories.feedback.models import LabelledCase
from memories.learning import words
from memories.pipeline.rules import changes
from memories.privacy import erasure, export
from memories.repository import memories as repository
from memories.search import word_index
from memories.shapes import Change, Memory, UserEdits
from memories.vocabulary.models import HealedMemory, Healing
from omi.stores.documents.base import TooLarge
from tests.api.conftest import Caller, segment

Make = Callable[..., Memory]
H = "/v1/vocabulary/healings"
PAIR = {"heard": "hannah", "term": "Anna"}


@pytest.fixture
def talk(make_memory: Make) -> Callable[..., Memory]:
    def make(*said: str, **more: Any) -> Memory:
        segments = [segment(f"s{n}", text, "SPEAKER_00", n * 5, n * 5 + 4) for n, text in enumerate(said)]
        return make_memory("alice", transcript_segments=segments, **more)

    return make


def texts(memory: Memory) -> list[str]:
    return [item.text for item in repository.get_memory("alice", memory.id).transcript_segments]


def begun(app: Caller, **more: Any) -> Any:
    answer = app.send("POST", H, {**PAIR, **more})
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_the_preview_shows_each_place_and_writes_nothing(talk: Any, alice: Caller) -> None:
    first = talk("Hannah comes.", "And Hannahs aunt, too.", "We saw hannah again.")
    talk("Nobody comes.")
    shown = alice.send("POST", f"{H}/preview", PAIR).json()
    assert [(item["segment_id"], item["before"], item["after"]) for item in shown["places"]] == [
        ("s0", "Hannah comes.", "Anna comes."), ("s2", "We saw hannah again.", "We saw Anna again."),
    ]  # fmt: skip
    assert (shown["places"][0]["memory_id"], shown["places"][1]["start"]) == (first.id, 10.0)
    assert (shown["next_cursor"], shown["more_places"]) == (None, {})
    assert texts(first)[0] == "Hannah comes."
    assert not Healing.objects.exists()


def test_the_preview_is_paged_and_bounded(talk: Any, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healing, "LOOKED_AT", 2)
    monkeypatch.setattr(healing, "SHOWN", 1)
    made = [talk("hannah one.", "hannah two.").id for _ in range(5)]
    seen, cursor, pages = [], None, 0
    while pages < 10:
        page = alice.send("POST", f"{H}/preview", {**PAIR, "cursor": cursor}).json()
        seen += [item["memory_id"] for item in page["places"]]
        assert set(page["more_places"].values()) == {1}
        pages, cursor = pages + 1, page["next_cursor"]
        if cursor is None:
            break
    assert (seen, pages) == (made[::-1], 3)


def test_what_is_too_long_to_be_indexed_at_once_is_healed_all_the_same(
    talk: Any, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = talk("hannah one."), talk("hannah two.", "And much more that was said.")
    monkeypatch.setattr(word_index, "LONGEST_AT_ONCE", 20)
    assert len(alice.send("POST", f"{H}/preview", PAIR).json()["places"]) == 2
    assert (begun(alice)["memories"], texts(short)[0], texts(long)[0]) == (2, "Anna one.", "Anna two.")


def test_a_memory_without_room_for_what_it_would_change_is_skipped_and_the_others_are_healed(
    talk: Any, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, full = talk("hannah one."), talk("hannah two.")
    mutate = repository.mutate_memory

    def refused(uid: str, memory_id: str, *given: Any, **more: Any) -> Memory:
        if memory_id == full.id:
            raise TooLarge("a document may have 1048576 bytes")
        return mutate(uid, memory_id, *given, **more)

    monkeypatch.setattr(repository, "mutate_memory", refused)
    made = begun(alice)
    assert (made["state"], made["memories"], made["skipped"]) == ("done", 1, 1)
    assert (texts(before), texts(full)) == (["Anna one."], ["hannah two."])


def test_long_memories_are_healed_and_taken_back_in_more_calls(
    talk: Any, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "SEGMENTS_AT_ONCE", 2)
    made = [talk("hannah one.", "hannah two.") for _ in range(3)]
    answer = begun(alice)
    assert (answer["state"], answer["memories"]) == ("going_on", 1)
    for _ in range(2):
        answer = alice.send("POST", f"{H}/{answer['id']}/go-on").json()
    assert (answer["state"], answer["memories"]) == ("done", 3)
    states = [alice.send("POST", f"{H}/{answer['id']}/undo").json()["state"] for _ in range(3)]
    assert states == ["undoing", "undoing", "undone"]
    assert {texts(memory)[0] for memory in made} == {"hannah one."}


def test_a_long_sentence_is_cut_around_its_place(talk: Any, alice: Caller) -> None:
    talk(f"{'word ' * 200}hannah {'word ' * 200}")
    [place] = alice.send("POST", f"{H}/preview", PAIR).json()["places"]
    assert "hannah" in place["before"]
    assert "Anna" in place["after"]
    assert len(place["before"]) <= 2 * healing.AROUND


def test_a_healing_changes_each_memory_by_one_operation_and_is_taken_back_as_a_whole(talk: Any, alice: Caller) -> None:
    first, second = talk("Hannah comes.", "Hannah goes."), talk("With hannah.")
    made = begun(alice)
    assert (made["state"], made["memories"], made["term"]) == ("done", 2, "Anna")
    assert (texts(first), texts(second)) == (["Anna comes.", "Anna goes."], ["With Anna."])
    [operation] = alice.get(f"/v1/memories/{first.id}/changes").json()
    told = [operation[name] for name in ("kind", "before", "after", "healing_id", "state")]
    assert told == ["heal", "hannah", "Anna", made["id"], "active"]
    for _ in range(2):
        assert alice.send("POST", f"{H}/{made['id']}/undo").json()["state"] == "undone"
    assert (texts(first), texts(second)) == (["Hannah comes.", "Hannah goes."], ["With hannah."])
    assert alice.send("POST", f"{H}/{made['id']}/go-on").status_code == 409


def test_what_the_user_wrote_stays_before_and_after_a_healing(talk: Any, alice: Caller) -> None:
    memory = talk("Hannah comes.", "Hannah goes.")
    alice.send("PATCH", f"/v1/memories/{memory.id}/segments/s0/text", {"text": "Hannah (another one) comes."})
    made = begun(alice)
    assert texts(memory) == ["Hannah (another one) comes.", "Anna goes."]
    alice.send("PATCH", f"/v1/memories/{memory.id}/segments/s1/text", {"text": "Anna goes home."})
    alice.send("POST", f"{H}/{made['id']}/undo")
    assert texts(memory) == ["Hannah (another one) comes.", "Anna goes home."]


def test_only_the_users_own_words_hold_it_and_nothing_is_done(talk: Any, alice: Caller) -> None:
    memory = talk("Somebody comes.")
    alice.send("PATCH", f"/v1/memories/{memory.id}/segments/s0/text", {"text": "Hannah comes."})
    assert (begun(alice)["memories"], HealedMemory.objects.count()) == (0, 0)


def test_a_memory_that_was_taken_out_in_the_preview_stays(talk: Any, alice: Caller) -> None:
    first, second = talk("Hannah comes."), talk("Hannah goes.")
    begun(alice, left_out=[first.id])
    assert (texts(first), texts(second)) == (["Hannah comes."], ["Anna goes."])


def test_many_memories_are_healed_and_taken_back_in_parts(
    talk: Any, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "AT_ONCE", 2)
    made = [talk(f"Hannah comes {n}.") for n in range(5)]
    state = begun(alice)
    assert (state["state"], texts(made[4]), texts(made[0])) == ("going_on", ["Anna comes 4."], ["Hannah comes 0."])
    steps = [alice.send("POST", f"{H}/{state['id']}/go-on").json() for _ in range(3)]
    assert [(step["state"], step["memories"]) for step in steps] == [("going_on", 4), ("done", 5), ("done", 5)]
    back = [alice.send("POST", f"{H}/{state['id']}/undo").json()["state"] for _ in range(3)]
    assert back == ["undoing", "undoing", "undone"]
    assert [texts(memory) for memory in made] == [[f"Hannah comes {n}."] for n in range(5)]


def test_killed_between_two_memories_it_goes_on_and_does_nothing_twice(
    talk: Any, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [talk(f"Hannah comes {n}.") for n in range(3)]
    real = healing._heal

    class Killed(BaseException):
        pass

    def dies(uid: str, row: Healing, memory_id: str, fence: Any) -> None:
        real(uid, row, memory_id, fence)
        raise Killed

    monkeypatch.setattr(healing, "_heal", dies)
    with pytest.raises(Killed):
        healing.begin("alice", "hannah", "Anna", fence=lambda: None)
    monkeypatch.setattr(healing, "_heal", real)
    row = Healing.objects.get()
    assert healing.go_on("alice", row.pk, fence=lambda: None).through
    assert [texts(memory) for memory in made] == [[f"Anna comes {n}."] for n in range(3)]
    assert [len(repository.get_memory("alice", memory.id).edits.changes) for memory in made] == [1, 1, 1]


def test_taken_back_while_it_goes_on_nothing_more_is_changed(
    talk: Any, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = talk("Hannah comes.")
    real = healing._places

    def undone_meanwhile(*args: Any) -> Any:
        Healing.objects.update(undone_at=timezone.now())
        return real(*args)

    monkeypatch.setattr(healing, "_places", undone_meanwhile)
    assert alice.send("POST", H, PAIR).status_code == 409
    assert texts(memory) == ["Hannah comes."]


def test_a_memory_that_holds_as_many_changes_as_may_be_is_skipped_and_counted(
    talk: Any, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MOST_CHANGES", 0)
    memory = talk("Hannah comes.")
    made = begun(alice)
    assert (made["skipped"], made["memories"], texts(memory)) == (1, 0, ["Hannah comes."])


def test_a_later_run_is_healed_too(talk: Any, alice: Caller) -> None:
    memory = talk("Hannah comes.")
    begun(alice)
    edits = repository.get_memory("alice", memory.id).edits
    heard = [segment("x0", "Then Hannah comes home.", "SPEAKER_00", 0, 5)]
    shown, _ = changes.lay_texts(heard, edits)
    assert [item.text for item in shown] == ["Then Anna comes home."]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"heard": "...", "term": "Anna"}, ["body", "heard"]),
        ({"heard": "hannah", "term": " !"}, ["body", "term"]),
        ({"heard": "Anna", "term": "Anna "}, ["body", "term"]),
        ({"heard": "h" * 61, "term": "Anna"}, ["body", "heard"]),
        ({"heard": "", "term": "Anna"}, ["body", "heard"]),
        ({**PAIR, "left_out": ["a b"]}, ["body", "left_out", 0]),
    ],
)
def test_what_cannot_be_healed_is_refused_with_its_place(alice: Caller, body: Any, place: list[Any]) -> None:
    answer = alice.send("POST", H, body)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, place)
    assert not Healing.objects.exists()


@pytest.mark.parametrize("cursor", ["x", "[]", '["2026-01-01", "m"]', '["2026-01-01T00:00:00Z", 5]', "[1, 2]"])
def test_a_cursor_that_is_none_of_ours_is_refused(alice: Caller, cursor: str) -> None:
    assert alice.send("POST", f"{H}/preview", {**PAIR, "cursor": cursor}).status_code == 422


def test_as_many_healings_as_may_be_and_undone_ones_make_room(
    talk: Any, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "MOST_HEALINGS", 1)
    talk("Hannah comes.")
    made = begun(alice)
    assert alice.send("POST", H, PAIR).status_code == 409
    alice.send("POST", f"{H}/{made['id']}/undo")
    begun(alice)
    assert Healing.objects.count() == 1


def test_many_healings_are_shown_as_quickly_as_one(talk: Any, alice: Caller, django_assert_num_queries: Any) -> None:
    talk("Hannah comes.")
    made = begun(alice)
    alice.send("POST", f"{H}/{made['id']}/undo")
    begun(alice, heard="nobody")
    begun(alice)
    found = healing.of_user("alice")
    with django_assert_num_queries(1):
        shown = shown_of(found)
    assert [(item.state, item.memories) for item in shown] == [("done", 1), ("done", 0), ("undone", 1)]


def test_a_stranger_finds_no_healing_and_heals_nothing(talk: Any, alice: Caller, bob: Caller) -> None:
    memory = talk("Hannah comes.")
    made = begun(alice)
    asked = [bob.get(f"{H}/{made['id']}"), *(bob.send("POST", f"{H}/{made['id']}/{end}") for end in ("undo", "go-on"))]
    assert {answer.status_code for answer in asked} == {404}
    assert bob.get(H).json() == []
    assert bob.send("POST", H, {"heard": "comes", "term": "goes"}).json()["memories"] == 0
    assert bob.send("POST", f"{H}/preview", {"heard": "anna", "term": "X"}).json()["places"] == []
    assert texts(memory) == ["Anna comes."]


def test_the_export_has_the_healings_and_the_erasure_leaves_none(talk: Any, alice: Caller) -> None:
    first, second = talk("Hannah comes."), talk("Hannah goes.")
    made = begun(alice)
    with zipfile.ZipFile(io.BytesIO(export.export_user("alice").read())) as archive:
        [told] = json.loads(archive.read("healings.json"))
    assert (told["id"], told["heard"], set(told["memory_ids"])) == (made["id"], "hannah", {first.id, second.id})
    erasure.erase_memory("alice", first.id, now=True)
    assert list(HealedMemory.objects.values_list("memory_id", flat=True)) == [second.id]
    erasure.erase_user("alice")
    assert {name: left for name, left in erasure.verify_user_erased("alice").items() if left} == {}


def test_a_word_that_was_corrected_twice_in_the_same_way_is_offered_until_it_is_healed(
    talk: Any, alice: Caller
) -> None:
    talk("Hannah comes.")
    now = timezone.now()
    for number, (machine, person) in enumerate(
        [("we met hannah.", "We met Anna!"), ("hannah left", "Anna left"), ("it is blue", "it is green")]
    ):
        LabelledCase.objects.create(
            id=f"c{number}", uid="alice", memory_id=f"m{number}", part="transcript", machine={"text": machine},
            person={"text": person}, created_at=now, expires_at=now + timedelta(days=1),
        )  # fmt: skip
    assert alice.get(f"{H}/offers").json() == [{"heard": "hannah", "term": "Anna", "times": 2}]
    begun(alice)
    assert words.offered("alice") == []


def test_a_change_of_words_is_read_back_from_the_document(talk: Any) -> None:
    change = Change(id="c", kind="heal", at=timezone.now(), heard="a", text="b", healing="heal_1")
    memory = talk("one", edits=UserEdits(changes=[change]))
    assert repository.get_memory("alice", memory.id).edits.changes == [change]
