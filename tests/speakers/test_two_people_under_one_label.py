"""A vendor gives one label to two people: a name is for the whole of it, so it needs the pieces to agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakers.clips import GROUP, RATE, pooled
from speakers.explain import explain
from speakers.identify import identify
from speakers.live import label_voices
from speakers.policy import VoiceScores, decide
from speakers.reasons import UNJUDGED, Reason
from transcription.segments import Segment

from .conftest import UID, Pcm, Talk, WriteWav
from .test_policy import one, room, voice


def pieced(*pieces: tuple[float, float], name: str = "SPEAKER_00") -> VoiceScores:
    """A voice that is accepted as a whole, of (seconds, log odds of being the user)."""
    seconds, logits = zip(*pieces, strict=True)
    scores = voice([0.9], [0.998], seconds=sum(seconds), name=name)
    return replace(scores, pieces=np.array(logits, np.float32), piece_seconds=np.array(seconds, np.float32))


def test_a_label_of_which_a_part_is_clearly_somebody_else_is_not_named() -> None:
    decision = one(pieced((3.0, 6.0), (3.0, 6.0), (3.0, -4.0), (3.0, -4.0), (3.0, -4.0), (3.0, -4.0)), ["user"])
    assert not decision.decided
    assert decision.reason is Reason.SEVERAL_VOICES
    assert decision.reason not in UNJUDGED, "an earlier name of the label is taken back"
    assert decision.suggestion is None, "who confirmed it would teach the profile the other one's voice"
    assert (decision.best, decision.foreign_seconds) == ("user", 12.0)


def test_a_name_stands_where_only_little_of_a_long_voice_does_not_fit() -> None:
    assert one(pieced(*[(3.0, 6.0)] * 9, (3.0, -1.0)), ["user"]).is_user
    assert one(pieced((3.0, 6.0), (3.0, 6.0), (2.0, -4.0)), ["user"]).is_user, "two seconds say too little"


def test_a_voice_of_which_no_piece_was_judged_is_judged_as_a_whole() -> None:
    assert one(voice([0.9], [0.998]), ["user"]).is_user


@given(st.lists(st.tuples(st.sampled_from([1.0, 3.0, 5.0]), st.floats(-8, 8)), min_size=1, max_size=20))
def test_one_more_piece_of_somebody_else_only_takes_a_name_away(pieces: list[tuple[float, float]]) -> None:
    before, after = (decide(room([pieced(*found)], ["user"]))[0] for found in (pieces, [*pieces, (6.0, -5.0)]))
    if after.is_user and sum(seconds for seconds, _ in pieces) >= 5:
        assert before.is_user


@given(st.lists(st.floats(0.05, 20), min_size=1, max_size=12))
def test_pieces_are_short_and_stay_when_more_is_said(turns: list[float]) -> None:
    speech = [np.zeros(round(seconds * RATE), np.int16) for seconds in turns]
    cuts = pooled(speech).cuts
    assert all(GROUP <= round(end - start, 3) < 2 * GROUP for start, end in cuts[:-1])
    assert pooled(speech[:-1]).cuts[:-1] == cuts[: max(0, len(pooled(speech[:-1]).cuts) - 1)]


def windowed(*moments: tuple[float, float]) -> VoiceScores:
    """A voice that is accepted as a whole and in its pieces, of windows of (log odds, cosine to the whole)."""
    odds, likeness = zip(*moments, strict=True)
    return replace(
        pieced((4.0, 6.0), (4.0, 6.0)), moments=np.array(odds, np.float32), likeness=np.array(likeness, np.float32)
    )


@pytest.mark.parametrize(
    "moments",
    [
        [(5.0, 0.8), (-6.0, 0.6), (4.0, 0.8), (-4.0, 0.6), (5.0, 0.8)],
        [(3.0, 0.7), (1.0, 0.4), (2.0, 0.7), (0.0, 0.45), (2.0, 0.7)],
    ],
)
def test_two_people_who_speak_at_once_are_nobody(moments: list[tuple[float, float]]) -> None:
    """A stranger who talked over the user, as loud as they, had the user's name in 14 of 48 trials."""
    decision = one(windowed(*moments), ["user"])
    assert (decision.decided, decision.reason, decision.suggestion) == (False, Reason.SEVERAL_VOICES, None)
    assert decision.at_once
    assert one(windowed(*moments[:4]), ["user"]).is_user, "fewer windows say too little"


def test_one_person_in_a_loud_room_stays_who_they_are() -> None:
    assert one(windowed((5.0, 0.8), (-5.6, 0.52), (4.0, 0.8), (-0.7, 0.56), (5.0, 0.7)), ["user"]).is_user


@given(st.lists(st.tuples(st.floats(-12, 12), st.floats(-0.2, 1.0)), min_size=5, max_size=15))
def test_windows_that_fit_worse_only_take_a_name_away(moments: list[tuple[float, float]]) -> None:
    worse = [(odds - 1.0, likeness - 0.1) for odds, likeness in moments]
    if one(windowed(*worse), ["user"]).is_user:
        assert one(windowed(*moments), ["user"]).is_user


def test_windows_lie_side_by_side_and_stay_when_more_is_said() -> None:
    short, long = (pooled([np.zeros(round(seconds * RATE), np.int16)]).moments for seconds in (9.0, 60.0))
    assert long[: len(short)] == short
    assert (len(short), len(long)) == (5, 15)
    assert not pooled([np.zeros(7 * RATE, np.int16)]).moments


def mixed(talk: Talk, own: float, foreign: float) -> Pcm:
    return np.concatenate([talk.of("Anna")[: round(own * RATE)], talk.of("Peter")[: round(foreign * RATE)]])


SHARES = [(3.0, 12.0), (6.0, 12.0), (6.0, 6.0), (9.0, 6.0), (12.0, 3.5)]


@pytest.mark.parametrize(("own", "foreign"), SHARES)
def test_a_segment_that_holds_the_user_and_somebody_else_is_not_the_users(
    enrolled: str, talk: Talk, wav: WriteWav, own: float, foreign: float
) -> None:
    pcm = mixed(talk, own, foreign)
    both = Segment(id="s0", text="Both speak", speaker="SPEAKER_00", start=0.0, end=len(pcm) / RATE)
    result = identify(enrolled, wav(pcm), [both], memory_id="m1")
    assert not result.segments[0].is_user
    [found] = explain(UID, "m1")["voices"]
    if found["reason"] == Reason.SEVERAL_VOICES:
        assert "somebody else" in found["sentence"]
        assert found["suggestion"] is None


@pytest.mark.parametrize(("own", "foreign"), SHARES)
def test_live_such_a_label_is_not_the_users_either(enrolled: str, talk: Talk, own: float, foreign: float) -> None:
    pcm = mixed(talk, own, foreign)
    clips = [pcm[start : start + 2 * RATE] for start in range(0, len(pcm), 2 * RATE)]
    label = label_voices(UID, {"SPEAKER_00": clips})["SPEAKER_00"]
    assert (label.is_user, label.judged) == (False, True)


def test_the_user_alone_is_named_on_as_much_speech(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    pcm = talk.of("Anna")
    alone = Segment(id="s0", text="I speak", speaker="SPEAKER_00", start=0.0, end=len(pcm) / RATE)
    assert identify(enrolled, wav(pcm), [alone]).segments[0].is_user


@pytest.mark.parametrize("edges", [(0.856, 60.612, 60.632, 79.5), (0.856, 79.5)])
def test_three_people_whom_nobody_told_apart_are_nobody(
    enrolled: str, talk: Talk, wav: WriteWav, edges: tuple[float, ...]
) -> None:
    """The whole conversation was the user's: of a turn of a minute only the middle quarter was listened to."""
    long = [
        Segment(id=f"s{at}", text="All speak", speaker="SPEAKER_00", start=start, end=end)
        for at, (start, end) in enumerate(zip(edges[::2], edges[1::2], strict=True))
    ]
    assert not any(item.is_user for item in identify(enrolled, wav(talk.pcm), long).segments)


def test_what_lies_before_and_after_the_middle_of_a_long_turn_is_heard(
    enrolled: str, talk: Talk, wav: WriteWav
) -> None:
    pcm = np.concatenate([talk.of("Peter"), talk.of("Anna")[: 15 * RATE], talk.of("Peter")])
    long = Segment(id="s0", text="Peter, I, Peter", speaker="SPEAKER_00", start=0.0, end=len(pcm) / RATE)
    assert not identify(enrolled, wav(pcm), [long]).segments[0].is_user
