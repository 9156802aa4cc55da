"""The judge of transcripts, as a pure function."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memories.pipeline.rules import acceptance, invented_phrases
from memories.pipeline.rules.tokens import tokens_in
from memories.shapes import UserEdits
from transcription.segments import Segment

TALK = "we should book the table for friday evening and ask anna whether she can bring the slides for the board"


def segments(text: str, *, start: float = 0.0, end: float = 10.0) -> list[Segment]:
    return [Segment(id=f"{start}", text=text, start=start, end=end)] if text else []


def judge(
    new: str, shown: str, *, regions: list[acceptance.Region] | None = None, **more: object
) -> acceptance.Assessment:
    return acceptance.assess(
        new=segments(new), shown=segments(shown), live=more.pop("live", {}),  # type: ignore[arg-type]
        regions=[(0.0, 10.0)] if regions is None else regions, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_shorter_transcript_without_the_live_ones_repetitions_is_accepted() -> None:
    """The 0.85 rule threw away correct transcripts that dropped duplicates."""
    decision = judge(TALK, f"{TALK} {TALK}")
    assert decision.accepted
    assert decision.figures["length_ratio"] == 0.5


@pytest.mark.parametrize("count", [79, 85, 86, 100])
def test_length_alone_decides_nothing(count: int) -> None:
    """At 84.9, 85.0 and 85.1 % there is no cliff."""
    shown = " ".join(f"word{index}" for index in range(100))
    new = " ".join(f"word{index}" for index in range(count))
    assert acceptance.assess(
        new=segments(new, end=60.0), shown=segments(shown, end=60.0), live={}, regions=[(0.0, 60.0)]
    ).accepted


@pytest.mark.parametrize(
    ("new", "shown", "regions", "accepted"),
    [
        ("", TALK, [(0.0, 10.0)], False),
        ("", "", [], True),
        ("", "", [(0.0, 10.0)], False),
        (TALK, "", [(0.0, 10.0)], True),
        ("спасибо за просмотр спасибо всем друзья", TALK, [(0.0, 10.0)], False),
        (" ".join(["thank you"] * 30), TALK, [(0.0, 10.0)], False),
        (" ".join(["thank you"] * 30), "", [(0.0, 10.0)], False),
        (" ".join(f"w{i}" for i in range(90)), TALK, [(0.0, 10.0)], False),
        (TALK, TALK, [(20.0, 30.0)], False),
    ],
)
def test_decisions(new: str, shown: str, regions: list[acceptance.Region], accepted: bool) -> None:
    assert judge(new, shown, regions=regions, language="en").accepted is accepted


def test_a_transcript_that_stops_half_way_is_rejected() -> None:
    half = acceptance.assess(
        new=segments(" ".join(TALK.split()[:8]), end=4.0), shown=segments(TALK), live={}, regions=[(0.0, 10.0)]
    )
    assert not half.accepted
    assert "leaves out" in half.reasons[0]


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_a_recording_that_ends_early_does_not_replace_what_was_heard_of_the_rest(share: float) -> None:
    """Coverage was asked of the new recording's speech alone: what was said after its end counted for nothing."""
    whole = [
        Segment(text=" ".join(f"a{i}x{j}" for j in range(20)), start=i * 10.0, end=i * 10.0 + 9) for i in range(100)
    ]
    new = whole[: int(100 * share)]
    decision = acceptance.assess(
        new=new, shown=whole, live={"a": whole, "b": whole}, regions=[(item.start, item.end) for item in new],
        seconds=1000.0 * share,
    )  # fmt: skip
    assert not decision.accepted
    assert f"ends after {1000 * share:.0f} s and what is shown goes on to 999 s" in decision.reasons[0]
    assert decision.figures["coverage"] == pytest.approx(share, abs=0.01)


def test_a_last_word_that_ends_after_the_recording_is_no_lost_speech() -> None:
    decision = acceptance.assess(new=segments(TALK), shown=segments(TALK, end=11.2), live={}, regions=[(0.0, 10.0)],
                              seconds=10.0)  # fmt: skip
    assert decision.accepted


def test_live_transcripts_that_agree_with_each_other_outvote_a_stranger() -> None:
    live = {"a": segments(TALK), "b": segments(TALK.replace("anna", "hanna"))}
    assert not judge("completely different things about football and rain", TALK, live=live).accepted
    assert judge(TALK.replace("slides", "slide"), TALK, live=live).accepted


def talk(count: int = 50) -> list[Segment]:
    """``count`` times nine seconds of twenty words that do not repeat themselves."""
    return [
        Segment(text=" ".join(f"a{i}x{j}" for j in range(20)), start=i * 10.0, end=i * 10.0 + 9) for i in range(count)
    ]


def loops(phrase: str, count: int, at: float) -> list[Segment]:
    return [Segment(text=f"{phrase} " * 30, start=at + i * 10.0, end=at + i * 10.0 + 9) for i in range(count)]


@pytest.mark.parametrize(
    ("made_up", "why"),
    [
        (loops("thank you", 6, 600.0), "in a loop where the shown one does not"),
        (loops("thank you", 1, 600.0), "in a loop where the shown one does not"),
        (loops("thank you", 8, 600.0) + loops("please subscribe", 8, 800.0), "repeats itself in a loop"),
        ([item.model_copy(update={"start": item.start + 600, "end": item.end + 600, "text": f"b{index} c{index} d"})
          for index, item in enumerate(talk(50))], "lies where nobody speaks, and the shown one has nothing there"),
    ],
    ids=["a quarter of the text", "one in a hundred words", "two loops", "no loop"],
)  # fmt: skip
def test_what_is_made_up_from_silence_is_not_put_over_a_transcript_without_it(made_up: list[Segment], why: str) -> None:
    """Only a loop of more than a third of the words was seen, and only the longest one of several."""
    shown = talk()
    decision = acceptance.assess(
        new=[*shown, *made_up], shown=shown, live={"a": shown, "b": shown},
        regions=[(item.start, item.end) for item in shown],
    )  # fmt: skip
    assert not decision.accepted
    assert why in decision.reasons[0]


def test_what_is_said_several_times_over_is_no_loop() -> None:
    shown = talk(10)
    said = shown[0].model_copy(update={"text": f"no no no no no {shown[0].text}"})
    regions = [(item.start, item.end) for item in shown]
    assert acceptance.assess(new=[said, *shown[1:]], shown=shown, live={}, regions=regions).accepted
    sung = [shown[0].model_copy(update={"text": "row row row your boat " * 9})]
    assert acceptance.assess(new=[*sung, *shown[1:]], shown=[*sung, *shown[1:]], live={}, regions=regions).accepted


def test_speech_that_the_detector_missed_counts_where_both_have_it() -> None:
    shown = talk(10)
    regions = [(item.start, item.end) for item in shown[:8]]
    assert acceptance.assess(new=shown, shown=shown, live={}, regions=regions).accepted


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=40))
def test_no_word_is_counted_twice_however_many_loops_it_stands_in(words: list[str]) -> None:
    slow = set()
    for size in range(1, 13):
        for start in range(len(words) - 4 * size + 1):
            part = words[start : start + 4 * size]
            if part == part[:size] * 4:
                slow |= set(range(start, start + 4 * size))
    assert acceptance.looped(words) == len(slow)


def test_scripts_without_blanks_are_counted_letter_by_letter() -> None:
    assert len(acceptance.tokens(segments("今日は良い天気です"))) == 9
    assert judge("今日は良い天気です", "今日は良い天気", language="ja").accepted


@given(st.lists(st.sampled_from(["a", "b", "c", "thank", "you"]), max_size=60))
def test_the_share_of_a_loop_is_a_share(words: list[str]) -> None:
    assert 0.0 <= acceptance.loop_share(words) <= 1.0


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 9)), max_size=8),
       st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 9)), max_size=8))  # fmt: skip
def test_coverage_is_a_share_and_grows_with_the_transcript(
    spans: list[tuple[float, float]], said: list[tuple[float, float]]
) -> None:
    regions = acceptance.merged([Segment(text="x", start=start, end=start + size) for start, size in spans])
    spoken = [Segment(text="x", start=start, end=start + size) for start, size in said]
    whole = acceptance.coverage(spoken, regions)
    assert -1e-9 <= whole <= 1 + 1e-9
    assert acceptance.coverage(spoken[:1], regions) <= whole + 1e-9 or not regions


def test_an_assignment_follows_its_moments_into_another_transcript() -> None:
    from memories.pipeline.rules import user_edits

    new = [Segment(id="n1", text="a", start=0, end=4, speaker="SPEAKER_01"),
           Segment(id="n2", text="b", start=5, end=9, speaker="SPEAKER_00")]  # fmt: skip
    old = [Segment(id="o1", text="a", start=0, end=4, speaker="SPEAKER_00"),
           Segment(id="o2", text="b", start=5, end=9, speaker="SPEAKER_01")]  # fmt: skip
    made = UserEdits(
        segments={"o1": {"is_user": True, "person_id": None, "start": 0.0, "end": 4.0, "transcript": "live"}},
        speakers={"SPEAKER_01": {"is_user": False, "person_id": "anna", "transcript": "live"}},
    )
    labels = user_edits.manual_labels(new, made, model="better", known={"live": old})
    # SPEAKER_01 of the old transcript is SPEAKER_00 of the new one: labels of voices are not carried over by name.
    assert labels == {"n1": {"is_user": True, "person_id": None}, "n2": {"is_user": False, "person_id": "anna"}}


ONE_SENTENCE = "we meet on friday and anna brings the slides for the board"
ROOM_TONE = [(0.5, 7.5)]
"""Where somebody speaks in a recording of 58 seconds: the rest is the room."""


def heard_words(text: str, start: float, step: float = 0.5) -> list[acceptance.Timed]:
    return [(word, start + index * step, start + index * step + 0.4) for index, word in enumerate(text.split())]


MADE_UP = ["Thank you for watching.", "Untertitel der Amara.org-Community", "a dog walks by"]


@pytest.mark.parametrize("looped", [True, False], ids=["one phrase", "several"])
def test_what_was_made_up_in_the_pauses_is_seen_although_the_segments_bridge_them(looped: bool) -> None:
    """One true sentence, then room tone with a phrase every six seconds: one segment of 56 s was judged."""
    true = heard_words(ONE_SENTENCE, 0.6)
    phrases = [MADE_UP[0 if looped else index % 3] for index in range(8)]
    made_up = [word for index, said in enumerate(phrases) for word in heard_words(said, 10.0 + 6 * index, 0.3)]
    text = " ".join(word for word, _, _ in [*true, *made_up])
    new = [Segment(text=text, start=0.6, end=57.0)]
    shown = segments(ONE_SENTENCE, start=0.6, end=7.0)
    decision = acceptance.assess(
        new=new, shown=shown, live={}, regions=ROOM_TONE, timed=[*true, *made_up], seconds=58.0
    )
    assert not decision.accepted
    assert any("where nobody speaks" in reason for reason in decision.reasons)
    assert acceptance.assess(new=shown, shown=shown, live={}, regions=ROOM_TONE, timed=true, seconds=58.0).accepted


def test_known_inventions_need_a_smaller_share_and_are_no_offence_where_somebody_speaks() -> None:
    said = " ".join(f"word{index}" for index in range(60))
    regions = [(0.0, 31.0)]
    shown = segments(said, start=0.0, end=30.0)
    for text, accepted in [("thank you for watching", False), ("a dog walks by", True)]:
        timed = [*heard_words(said, 0.0), *heard_words(text, 45.0)]
        new = [Segment(text=f"{said} {text}", start=0.0, end=47.0)]
        assert acceptance.assess(new=new, shown=shown, live={}, regions=regions, timed=timed).accepted is accepted
    spoken = [*heard_words(said, 0.0), *heard_words("thank you for watching", 45.0)]
    new = [Segment(text=f"{said} thank you for watching", start=0.0, end=47.0)]
    assert acceptance.assess(new=new, shown=shown, live={}, regions=[*regions, (44.0, 48.0)], timed=spoken).accepted


def test_text_without_any_speech_under_it_is_no_text_even_where_nothing_was_shown() -> None:
    timed = heard_words("thank you for watching", 20.0)
    decision = acceptance.assess(
        new=segments("thank you for watching", start=20.0, end=22.0),
        shown=[],
        live={},
        regions=[(1.0, 2.0)],
        timed=timed,
    )
    assert not decision.accepted


def test_the_known_inventions_are_those_of_twenty_languages_and_none_is_empty() -> None:
    assert len(invented_phrases.LANGUAGES) == 20
    assert invented_phrases.known(tokens_in("Amara.org: Thank you for watching! Thank you.")) == 6
    assert invented_phrases.known(tokens_in("ご視聴ありがとうございました")) == 14
    assert invented_phrases.known(tokens_in("the talk on friday")) == 0


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.01, 3)), max_size=12),
       st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 9)), max_size=8))  # fmt: skip
def test_a_word_is_made_up_exactly_when_no_speech_is_near_it(
    words: list[tuple[float, float]], spans: list[tuple[float, float]]
) -> None:
    timed = [(f"w{index}", start, start + size) for index, (start, size) in enumerate(words)]
    regions = [(start, start + size) for start, size in spans]
    slow = [
        word for word, start, end in timed
        if regions and not any(a <= end + acceptance.SLACK and b > start - acceptance.SLACK for a, b in regions)
    ]  # fmt: skip
    assert acceptance.unsounded(timed, regions) == slow


WORSE = TALK.replace("table", "cable").replace("slides", "slice")


def test_the_engine_that_made_the_shown_text_does_not_replace_it_without_a_reason() -> None:
    """The local engine heard a recording again: 53.3 % word errors for 52.0, and accepted. Which of two hearings by one
    engine is better cannot be told from the text, so the one that is there stays."""
    decision = judge(WORSE, TALK, same_engine=True)
    assert (decision.accepted, "same engine" in decision.reasons[0]) == (False, True)
    assert judge(WORSE, TALK, same_engine=False).accepted


@pytest.mark.parametrize(
    ("shown", "end"),
    [(" ".join(TALK.split()[:12]), 6.0), ("thank you " * 8, 10.0)],
    ids=["the shown one lacks speech", "the shown one is a loop"],
)
def test_the_same_engine_replaces_its_text_where_something_speaks_for_it(shown: str, end: float) -> None:
    decision = acceptance.assess(
        new=segments(TALK), shown=segments(shown, end=end), live={}, regions=[(0.0, 10.0)], same_engine=True
    )
    assert decision.accepted, decision.reasons


def two_voices(text: str, *, seconds: float) -> list[Segment]:
    """The text as two people say it, the second one for ``seconds``."""
    words = text.split()
    return [
        Segment(id="n0", text=" ".join(words[:-4]), speaker="SPEAKER_00", start=0.0, end=10.0 - seconds),
        Segment(id="n1", text=" ".join(words[-4:]), speaker="SPEAKER_01", start=10.0 - seconds, end=10.0),
    ]


def test_the_same_engine_replaces_a_transcript_whose_speakers_nobody_told_apart() -> None:
    """On a busy machine a talk of three people was shown as one speaker's, and the recording, heard with three, was
    refused: the words were the same."""

    def accepted(new: list[Segment], shown: list[Segment]) -> bool:
        return acceptance.assess(new=new, shown=shown, live={}, regions=[(0.0, 10.0)], same_engine=True).accepted

    assert accepted(two_voices(TALK, seconds=4.0), segments(TALK))
    assert not accepted(two_voices(TALK, seconds=1.0), segments(TALK)), "a second of somebody may be a mistake"
    assert not accepted(two_voices(TALK, seconds=4.0), two_voices(TALK, seconds=5.0)), "they were told apart"
