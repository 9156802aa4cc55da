"""The vote of several transcripts: never worse than the best one by more than a little, and better than the average."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vendors.truth import Library
from transcription.consensus import ballot, in_shown_segments, plain, vote, weights_from
from transcription.consensus.trust import Trust
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


@pytest.mark.parametrize("rates", [(0.08, 0.1, 0.12), (0.05, 0.2, 0.3), (0.2, 0.2, 0.2), (0.02, 0.4, 0.4)])
def test_the_vote_is_never_much_worse_than_the_best_and_better_than_the_average(rates: tuple[float, ...]) -> None:
    true, best, average, voted = truth(), [], [], []
    for seed in range(4):
        heard = {f"v{i}": spoilt(true, rate, seed * 10 + i) for i, rate in enumerate(rates)}
        weights = weights_from({f"v{i}": 1 - rate for i, rate in enumerate(rates)})
        errors = [error_rate(words, true) for words in heard.values()]
        best.append(min(errors))
        average.append(sum(errors) / len(errors))
        voted.append(error_rate(vote(heard, weights), true))
    assert sum(voted) <= sum(best) * 1.01
    assert sum(voted) < sum(average) * 0.8


def copied(words: list[Word], master: list[Word], rate: float, seed: int) -> list[Word]:
    """``words`` with, for ``rate`` of the time, what ``master`` heard instead: mistakes and all."""
    rng = random.Random(seed)
    edges = [word.start for word in words[::12]] + [1e9]
    takes = [rng.random() < rate for _ in edges]
    out: list[Word] = []
    for own, at in ((words, False), (master, True)):
        for word in own:
            stretch = sum(edge <= word.start for edge in edges[1:])
            if takes[stretch] is at:
                out.append(word)
    return sorted(out, key=lambda word: (word.start, word.end))


class Independent(Trust):
    """What a textbook vote believes: whatever two agree on, their weights add up."""

    def together(self, vendors: Sequence[str], kind: str) -> float:
        return sum(self.weight[vendor] for vendor in vendors)


@pytest.mark.parametrize("share", [0.7, 0.9])
def test_two_that_make_the_same_mistakes_do_not_outvote_a_better_one(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hearings of one poor recogniser are hardly more than one witness; the session's own counts show it."""
    true, best, voted, naive = truth(), 0.0, 0.0, 0.0
    for seed in range(4):
        poor = spoilt(true, 0.22, seed)
        heard = {
            "good": spoilt(true, 0.15, seed + 50),
            "poor": poor,
            "echo": copied(spoilt(true, 0.22, seed + 90), poor, share, seed),
        }
        weights = weights_from({"good": 0.85, "poor": 0.78, "echo": 0.78})
        best += error_rate(heard["good"], true)
        voted += error_rate(vote(heard, weights), true)
        with monkeypatch.context() as patched:
            patched.setattr(ballot, "learn", lambda slots, weight: Independent(weight))
            naive += error_rate(vote(heard, weights), true)
    print(f"vote {voted / best - 1:+.1%}, textbook vote {naive / best - 1:+.1%} of the best")
    assert voted <= best * 1.01
    assert naive > best * 1.05, "the mistakes were not alike"


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
