"""Search finds the moment: by meaning and words, misspelled, in any script, with filters inside the query."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from emotions.base import EmotionScore, EmotionSpan, EmotionTimeline
from memories import upkeep
from memories.mirror import compare
from memories.passages import cutting, indexing, spelling
from memories.passages.models import IndexedMemory, SpellingGram
from memories.privacy import erasure
from memories.privacy.erasure_parts import remains, vectors_of
from memories.repository import emotions, memories
from memories.shapes import ActionItem, Memory, Structured
from omi.accounts.users import update_user
from omi.stores.vectors import namespace, vectors
from speakers import people
from tests.api.conftest import Caller
from tests.search.conftest import spoken, work

Remember = Callable[..., Memory]
LONG = tuple(("", f"This is minute number {n} about nothing in particular at all.") for n in range(12))


def found(caller: Caller, q: str, **more: Any) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in {"q": q, **more}.items())
    answer = caller.get(f"/v1/search?{query}")
    assert answer.status_code == 200, answer.content
    return list(answer.json()["hits"])


def ids(caller: Caller, q: str, **more: Any) -> list[str]:
    return [hit["memory_id"] for hit in found(caller, q, **more)]


def test_a_hit_has_its_moment_and_its_words(alice: Caller, bob: Caller, remember: Remember) -> None:
    remember("A long talk", *LONG, ("", "The giraffe ate my hat. It was straw."), *LONG)
    [hit] = found(alice, "giraffe hat")
    passage = hit["passage"]
    assert (passage["start"], passage["end"], passage["segment"]) == (240.0, 259.0, 12)
    assert [passage["text"][a:b] for a, b in passage["highlights"]] == ["giraffe", "hat"]
    assert passage["is_user"] is True
    assert found(bob, "giraffe hat") == []


def test_passages_are_a_minute_and_never_cut_a_segment() -> None:
    made = cutting.passages(spoken(*LONG))
    assert [(item.first, item.last) for item in made] == [(0, 2), (3, 5), (6, 8), (9, 11)]
    assert all(item.end - item.start <= cutting.SECONDS for item in made)
    assert cutting.passages(spoken(("", " "), ("", "word")))[0].first == 1


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("Then we call Mr. Kowalski from Gdansk.", "Kowalsky"),
        ("Der Zahnarzttermin ist am Montag.", "Zahnarzt"),
        ("We met Søren Müller there.", "muller"),
        ("the G D P R applies", "GDPR"),
        ("我们去成都看大熊猫。", "大熊猫"),
        ("明日は東京駅で会いましょう", "東京駅"),
        ("Встретимся завтра у Третьяковской галереи", "Третьяковскую"),
        ("نلتقي غدا في المكتبة", "المكتبه"),
        ("It is four thousand dollars.", "$4,000"),
    ],
)
def test_words_are_found_as_they_are_meant(alice: Caller, remember: Remember, said: str, asked: str) -> None:
    remember("Other", ("", "We speak of the weather and of bread."))
    memory = remember("This", (None, said))
    [hit, *_] = found(alice, asked)
    assert hit["memory_id"] == memory.id
    assert "words" in hit["matched"]


def test_a_person_is_found_by_name_though_nobody_says_it(alice: Caller, remember: Remember) -> None:
    anna = people.create_person("alice", "Anna Nowak").id
    mine = remember("Boats", (anna, "The mast has to be painted."))
    remember("Also boats", (None, "The mast has to be painted."))
    assert ids(alice, "Anna mast")[0] == mine.id
    assert ids(alice, "Nowack")[0] == mine.id
    assert ids(alice, "mast", people=anna) == [mine.id]
    assert ids(alice, "mast", people=f"{anna},somebody") == []


def test_filters_are_part_of_the_query(alice: Caller, remember: Remember) -> None:
    """Forty better hits of other kinds stand before each; days are those of the user's zone."""
    update_user("alice", time_zone="Asia/Kathmandu")
    for _ in range(40):
        remember("Boat boat boat", ("", "boat boat boat"), language="en", index=False)
    work("alice")
    task = ActionItem(description="go")
    late = remember(
        "Boat", ("", "the boat and much more of other things"), language="de",
        created_at=datetime(2026, 11, 9, 18, 15, tzinfo=UTC),  # midnight of the tenth in Kathmandu
        structured=Structured(title="Boat", overview="x", category="health", action_items=[task]),
    )  # fmt: skip
    span = EmotionSpan(start=0, end=5, emotions=[EmotionScore(name="Joy", score=0.9)], is_user=True)
    emotions.save_emotions("alice", late.id, EmotionTimeline(vendor="v", model="m", kind="estimate", spans=[span]))
    memories.update_memory("alice", late.id, {"visibility": "shared"})
    work("alice", late)
    for chosen in (
        {"language": "de"}, {"category": "health"}, {"open_items": "true"}, {"emotion": "joy"},
        {"start": "2026-11-10", "end": "2026-11-10"},
    ):  # fmt: skip
        assert ids(alice, "boat", **chosen) == [late.id], chosen
    assert ids(alice, "boat", start="2026-11-09", end="2026-11-09") == []
    assert late.id not in ids(alice, "boat", limit=50, open_items="false")


def test_discarded_ones_are_found_only_where_asked_for(alice: Caller, remember: Remember) -> None:
    kept = remember("Boat", ("", "boat"))
    gone = remember("Boat", ("", "boat"), discarded=True)
    assert ids(alice, "boat") == [kept.id]
    assert ids(alice, "boat", discarded="only") == [gone.id]
    assert set(ids(alice, "boat", discarded="yes")) == {kept.id, gone.id}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?q=",
        "?q=x&limit=0",
        "?q=x&start=2026-13-01",
        "?q=x&people=a%20b",
        "?q=x&category=nothing",
        "?q=x&discarded=maybe",
    ],
)
def test_what_does_not_fit_is_422(alice: Caller, query: str) -> None:
    assert alice.get(f"/v1/search{query}").status_code == 422


def test_passages_follow_the_memory_and_go_with_it(remember: Remember) -> None:
    memory = remember("A long talk", *LONG)
    assert len(vectors_of("alice")) == 5
    memories.update_memory("alice", memory.id, {"transcript_segments": spoken(*LONG[:3])})
    upkeep.index_passages()
    assert len(vectors_of("alice")) == 2
    memories.update_memory("alice", memory.id, {"discarded": True})
    upkeep.index_passages()
    assert IndexedMemory.objects.get().passages == 0
    erasure.erase_memory("alice", memory.id, now=True)
    assert vectors_of("alice") == []
    assert remains("alice")["search"] == 0
    assert SpellingGram.objects.count() == 0


def test_a_memory_deleted_while_it_is_embedded_leaves_no_passage(
    remember: Remember, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = remember("A long talk", *LONG, index=False)
    embed = indexing._values

    def late(uid: str, embedder: Any, texts: list[str]) -> list[list[float]]:
        values = embed(uid, embedder, texts)
        erasure.erase_memory("alice", memory.id, now=True)
        return values

    monkeypatch.setattr(indexing, "_values", late)
    upkeep.index_passages()
    assert vectors_of("alice") == []
    assert remains("alice")["search"] == 0


def test_spelling_is_forgotten_with_the_last_memory_that_has_the_word(remember: Remember) -> None:
    first = remember("One", ("", "giraffe"))
    second = remember("Two", ("", "giraffe"))
    grams = SpellingGram.objects.count()
    erasure.erase_memory("alice", first.id, now=True)
    assert SpellingGram.objects.count() == grams == len(spelling.grams("giraffe"))
    erasure.erase_memory("alice", second.id, now=True)
    assert SpellingGram.objects.count() == 0


def test_the_check_finds_lost_passages_and_has_them_made_again(remember: Remember) -> None:
    remember("A long talk", *LONG)
    vectors().delete([indexing.identity("alice", "m1", 3)], namespace=namespace())
    [difference] = list(compare.check_user("alice"))
    assert (difference.kind, difference.store) == ("vector_missing", "passages")
    compare.rebuild_user("alice")
    indexing.index_due(10)
    assert list(compare.check_user("alice")) == []
