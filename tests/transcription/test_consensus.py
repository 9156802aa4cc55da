"""The vote of several transcripts: what most of them heard."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.vote import KINDS, WEIGHTS, Row, measured
from demo.vendors.truth import Library
from omi import settings as global_settings
from transcription.consensus import in_shown_segments, plain, vote, weights_from
from transcription.consensus.align import stretches
from transcription.segments import Segment, Word

DEMO = Path(__file__).resolve().parents[2] / "demo" / "recordings" / "conversation.json"
CONFUSIONS = "a the and in of to two too for four there their no know right write".split()


def truth() -> list[Word]:
    [recording] = Library([]).load(DEMO)
    return [Word(text=word.word, start=word.start, end=word.end) for word in recording.words]


def spoilt(words: list[Word], rate: float, seed: int) -> list[Word]:
    """Errors as recognisers make them: a third each of other words, missing words and invented words; times jitter."""
    rng, out = random.Random(seed), []
    for word in words:
        start, end = word.start + rng.gauss(0, 0.03), word.end + rng.gauss(0, 0.03)
        kind = rng.random()
        if kind < rate / 3:
            continue
        text = rng.choice(CONFUSIONS) if kind < rate * 2 / 3 else word.text
        out.append(Word(text=text, start=max(0.0, start), end=max(start + 0.05, end, 0.05)))
        if rate * 2 / 3 <= kind < rate:
            out.append(Word(text=rng.choice(CONFUSIONS), start=max(0.0, end), end=max(0.1, end + 0.08)))
    return sorted(out, key=lambda word: (word.start, word.end))


def error_rate(heard: list[Word], true: list[Word]) -> float:
    a, b = [plain(word.text) for word in heard], [plain(word.text) for word in true]
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1] / len(b)


def numbered(said: str) -> list[Word]:
    """A word a third of a second, without pauses."""
    return [Word(text=text, start=at / 3, end=at / 3 + 0.3) for at, text in enumerate(said.split()) if text != "-"]


TWENTY = " ".join(f"w{index}" for index in range(20))


def with_errors(*places: int, instead: str = "x{}") -> list[Word]:
    """``TWENTY`` with other words at these places; ``instead`` "-" leaves them out."""
    return numbered(" ".join(instead.format(at) if at in places else text for at, text in enumerate(TWENTY.split())))


@pytest.mark.parametrize("weights", [None, {"a": 3.0, "b": 1.0, "c": 1.0}, {"a": 1.0, "b": 2.0, "c": 2.0}], ids=str)
@pytest.mark.parametrize("instead", ["x{}", "-"], ids=["misheard", "left out"])
@pytest.mark.parametrize("count", [1, 2, 4, 8, 16])
def test_where_the_first_vendor_alone_errs_the_two_that_agree_win(
    count: int, instead: str, weights: dict[str, float] | None
) -> None:
    """Frequent errors of one were read as the two others' erring alike: with 1, 2, 4 or 8 of 20 the first was kept."""
    wrong = with_errors(*range(0, 20, 20 // count), instead=instead)
    voted = vote({"a": wrong, "b": numbered(TWENTY), "c": numbered(TWENTY)}, weights)
    assert " ".join(word.text for word in voted) == TWENTY


@pytest.mark.parametrize("order", ["abc", "bca", "cab"])
def test_a_word_that_two_of_three_heard_is_kept_and_one_that_one_made_up_is_not(order: str) -> None:
    heard = {"a": numbered("one two three"), "b": numbered("one - three"), "c": numbered("one two three")}
    assert " ".join(word.text for word in vote({name: heard[name] for name in order})) == "one two three"
    heard = {"a": numbered("one - three"), "b": numbered("one x three"), "c": numbered("one - three")}
    assert " ".join(word.text for word in vote({name: heard[name] for name in order})) == "one three"


def test_where_all_differ_the_heaviest_is_kept() -> None:
    heard = {"a": numbered("one x three"), "b": numbered("one y three"), "c": numbered("one z three")}
    assert [word.text for word in vote(heard)] == ["one", "x", "three"]
    assert [word.text for word in vote(heard, {"a": 1.0, "b": 3.0, "c": 2.0})] == ["one", "y", "three"]
    two_and_two = {**heard, "b": heard["a"], "c": numbered("one z three"), "d": numbered("one z three")}
    assert [word.text for word in vote(two_and_two)][1] == "x"
    assert [word.text for word in vote(two_and_two, {"d": 2.0})][1] == "z"


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    """The simulation of ``python -m bench.vote``, smaller: the same talks each time."""
    return dict(measured(30, 1))


@pytest.mark.parametrize("weights", WEIGHTS)
def test_with_independent_errors_it_is_far_better_than_the_best_vendor(rows: dict[str, Row], weights: str) -> None:
    row = rows["independent"]
    assert row.relative(weights) < -0.5
    assert row.worst(weights) < 0.003


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("kind", KINDS)
def test_in_the_mean_it_is_far_better_than_the_vendor_that_is_preferred(
    rows: dict[str, Row], kind: str, weights: str
) -> None:
    """Whoever is best in a talk nobody knows before; the memory would begin with the preferred one."""
    assert np.mean(rows[kind].voted[weights]) < 0.75 * np.mean(rows[kind].preferred)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("kind", ["independent", "shared 30 %", "two of one family"])
def test_in_the_mean_it_is_better_than_the_best_vendor_of_each_talk(
    rows: dict[str, Row], kind: str, weights: str
) -> None:
    assert rows[kind].relative(weights) < 0.0


def test_what_no_vote_without_the_truth_can_hold_is_off_by_default() -> None:
    """Two worlds in which vendors say the very same: two that share half of their errors outvote a third that is right,
    or two that are right outvote one that errs. Whatever a vote does in the first it does in the second (decision 17).
    """
    [row] = [row for _, row in measured(40, 1, ["shared 60 %"])]
    assert row.worst("unset") > 0.003
    assert global_settings.OMI_CONSENSUS is False


def test_a_talk_in_which_nobody_pauses_is_voted_on_to_its_end() -> None:
    said = " ".join(f"w{index}" for index in range(2500))
    heard = {"a": numbered(said.replace("w2400 ", "")), "b": numbered(said), "c": numbered(said)}
    assert " ".join(word.text for word in vote(heard)) == said
    at_once = [Word(text=f"w{index}", start=1.0, end=2.0) for index in range(2500)]
    assert len(vote({"a": at_once, "b": at_once})) == 2500


def test_order_is_kept_where_accuracies_are_below_half() -> None:
    weights = weights_from({"a": 0.45, "b": 0.3, "c": 0.0, "d": 0.56})
    assert weights["d"] > weights["a"] > weights["b"] > weights["c"] == 0.0


def test_one_transcript_comes_back_as_it_is_and_none_gives_nothing() -> None:
    true = truth()
    assert vote({"a": true, "b": []}) == true
    assert vote({}) == []


def test_equal_transcripts_come_back_as_they_are() -> None:
    true = truth()
    assert [word.text for word in vote({"a": true, "b": true, "c": true})] == [word.text for word in true]


word_lists = st.lists(
    st.tuples(st.sampled_from(CONFUSIONS), st.floats(0, 20), st.floats(0.05, 0.5)).map(
        lambda item: Word(text=item[0], start=item[1], end=item[1] + item[2])
    ),
    max_size=15,
)


@given(word_lists, word_lists, word_lists)
def test_every_voted_word_is_some_vendors_word_and_they_are_in_order(
    a: list[Word], b: list[Word], c: list[Word]
) -> None:
    voted = vote({"a": a, "b": b, "c": c}, {"a": 0.9, "b": 0.8, "c": 0.7})
    assert all(word in a or word in b or word in c for word in voted)
    assert [word.start for word in voted] == sorted(word.start for word in voted)
    assert len(voted) <= len(a) + len(b) + len(c)


def test_a_vendor_that_was_down_does_not_outvote_the_one_that_heard() -> None:
    true = truth()[:60]
    half = true[30].start - 0.01
    heard = {"best": true[:30], "other": true}
    weights = weights_from({"best": 0.98, "other": 0.8})
    assert [word.text for word in vote(heard, weights, {"best": [(0.0, half)]})] == [word.text for word in true]
    assert len(vote(heard, weights)) < 60, "without coverage the silence of the better one would win"


def test_equal_weights_give_the_preferred_of_two() -> None:
    true = truth()
    first, second = spoilt(true, 0.1, 1), spoilt(true, 0.1, 2)
    assert [word.text for word in vote({"a": first, "b": second})] == [word.text for word in first]


def test_the_vote_stands_in_the_shown_segments_with_their_speakers_and_loses_no_word() -> None:
    true = truth()[:40]
    shown = [
        Segment(id="s1", text="x", speaker="SPEAKER_00", start=true[0].start, end=true[19].end, is_user=True),
        Segment(id="s2", text="y", speaker="SPEAKER_01", start=true[20].start, end=true[-1].end, person_id="p"),
    ]
    far = Word(text="far", start=true[-1].end + 60, end=true[-1].end + 60.4)
    made = in_shown_segments([*true, far], shown, "scope")
    assert [(item.id, item.speaker, item.is_user, item.person_id) for item in made[:2]] == [
        ("s1", "SPEAKER_00", True, None),
        ("s2", "SPEAKER_01", False, "p"),
    ]
    assert " ".join(item.text for item in made).split() == [*(word.text for word in true), "far"]
    assert {item.stt_provider for item in made} == {"consensus"}
    assert made[2].id not in {"s1", "s2"}
    assert in_shown_segments(true, [], "scope") == []


def test_what_was_voted_while_the_talk_went_on_stands_in_the_vote_over_all_of_it() -> None:
    """So that socket and memory agree: what lies between two pauses is decided by itself, whatever else was said."""
    true = truth()
    heard = {f"v{index}": spoilt(true, 0.1, index) for index in range(3)}
    found = stretches(heard)
    assert len(found) > 3
    parts = [word for part in found if len(part) == 3 for word in vote({name: part[name] for name in heard})]
    whole = vote(heard)
    alone = [word for part in found if len(part) < 3 for words in part.values() for word in words]
    assert [word for word in whole if word not in alone] == sorted(parts, key=lambda word: (word.start, word.end))
