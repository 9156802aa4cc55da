"""The rules of a decision, without any audio."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from speakers.identify import UNJUDGED
from speakers.policy import SHIFT_LIMIT, Reason, Rules, VoiceDecision, VoiceScores, decide

RULES = Rules()


def voice(
    cosines: list[float],
    probabilities: list[float],
    *,
    seconds: float = 20.0,
    name: str = "SPEAKER_00",
    embedding: list[float] | None = None,
) -> VoiceScores:
    vector = np.array(embedding or [1.0, 0.0], np.float32)
    return VoiceScores(name, seconds, vector, np.array(cosines, np.float32), np.array(probabilities, np.float32))


def one(scores: VoiceScores, candidates: list[str], rules: Rules = RULES) -> VoiceDecision:
    return decide([scores], candidates, rules)[0]


def test_a_stranger_is_not_the_user_although_the_user_is_the_only_candidate() -> None:
    """omi-protocol 4.3 no. 1: with a profile and no people every segment was the user's."""
    decision = one(voice([0.55], [0.01]), ["user"])
    assert not decision.decided
    assert decision.reason is Reason.BELOW_THRESHOLD


def test_a_tie_at_nothing_is_unknown_and_not_the_first_candidate() -> None:
    """omi-protocol 4.3 no. 2: a tie at 0 gave the user; there was no unknown, no margin, no minimum evidence."""
    decision = one(voice([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]), ["user", "ana", "bob"])
    assert not decision.decided
    assert decision.suggestion is None


def test_two_candidates_that_fit_alike_leave_the_voice_unknown_with_a_suggestion() -> None:
    decision = one(voice([0.90, 0.88], [0.999, 0.99]), ["user", "ana"])
    assert decision.reason is Reason.CLOSE_RUNNER_UP
    assert decision.suggestion == "user"
    assert decision.runner_up == "ana"


def test_a_new_label_needs_five_seconds_of_evidence() -> None:
    assert one(voice([0.9], [0.97], seconds=4.9), ["user"]).reason is Reason.TOO_LITTLE_SPEECH
    assert one(voice([0.9], [0.97], seconds=5.0), ["user"]).is_user


def test_a_clear_case_needs_two_seconds() -> None:
    assert one(voice([0.95], [0.999], seconds=2.0), ["user"]).is_user
    assert not one(voice([0.95], [0.999], seconds=1.9), ["user"]).decided


def test_the_user_must_beat_the_other_voices_in_the_room() -> None:
    scores = [
        voice([0.90], [0.99], name="SPEAKER_00", embedding=[1.0, 0.0]),
        voice([0.84], [0.97], name="SPEAKER_01", embedding=[0.6, 0.8]),
    ]
    first, second = decide(scores, ["user"], RULES)
    assert first.is_user
    assert not second.decided
    assert second.reason is Reason.ANOTHER_VOICE_FITS_BETTER
    assert second.suggestion == "user"


def test_a_voice_that_the_vendor_divided_keeps_its_name_on_both_labels() -> None:
    scores = [
        voice([0.90], [0.99], name="SPEAKER_00", embedding=[1.0, 0.0]),
        voice([0.89], [0.99], name="SPEAKER_01", embedding=[0.995, 0.0999]),
    ]
    assert [decision.is_user for decision in decide(scores, ["user"], RULES)] == [True, True]


def test_an_engine_without_calibration_only_suggests() -> None:
    decision = one(voice([0.99], [0.99]), ["ana"], Rules(calibrated=False))
    assert decision.person_id is None
    assert decision.reason is Reason.NOT_CALIBRATED
    assert decision.suggestion == "ana"


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 100))
def test_without_calibration_nothing_is_said_against_an_older_label(
    cosine: float, probability: float, seconds: float
) -> None:
    decision = one(voice([cosine, 0.2], [probability, 0.1], seconds=seconds), ["user", "ana"], Rules(calibrated=False))
    assert decision.reason in UNJUDGED


def test_nobody_to_compare_with_is_its_own_reason() -> None:
    assert one(voice([], []), []).reason is Reason.NO_PROFILES


@given(st.floats(-10, 10))
def test_corrections_move_the_threshold_only_within_bounds(shift: float) -> None:
    moved = RULES.shifted(shift)
    assert abs(moved.accept - RULES.accept) <= SHIFT_LIMIT + 1e-9
    assert moved.accept < 1.0


@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 100)),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 5),
)
def test_a_name_is_never_given_below_threshold_or_evidence(
    values: list[tuple[float, float, float]], candidates: int
) -> None:
    names = ["user", *"abcde"][:candidates]
    scores = [
        voice([cosine] * candidates, [probability] * candidates, seconds=seconds, name=f"SPEAKER_{index:02d}")
        for index, (cosine, probability, seconds) in enumerate(values)
    ]
    for decision in decide(scores, names, RULES):
        assert not (decision.is_user and decision.person_id)
        if decision.decided:
            assert decision.probability >= round(RULES.accept, 4) - 1e-4
            assert decision.evidence_seconds >= RULES.clear_evidence
