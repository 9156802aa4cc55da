"""The sentences of a decision say what decided, with its numbers."""

from __future__ import annotations

import pytest

from speakers.reasons import SENTENCES, Reason, sentence

FACTS = {
    "bar": 0.95, "coverage": 0.12, "enrolled_seconds": 4.2, "rival": "SPEAKER_03", "rival_same": 0.31,
    "provisional": True, "foreign_seconds": 6.5,
}  # fmt: skip


def told(reason: Reason, **facts: object) -> str:
    return sentence(
        reason, probability=0.973, evidence_seconds=12.34, best="Ana", runner_up="Bob", facts={**FACTS, **facts}
    )


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence(reason: Reason) -> None:
    assert SENTENCES[reason] in told(reason)


def test_a_name_says_how_likely_it_is_how_much_was_heard_and_what_was_asked_for() -> None:
    text = told(Reason.ACCEPTED, rival=None)
    assert "12.3 s" in text
    assert "97.3%" in text
    assert "95.0%" in text
    assert "Ana" in text
    assert "provisional" in text
    assert "nobody else" not in text, "other people may have that voice, too"
    assert "provisional" not in told(Reason.ACCEPTED, rival=None, provisional=False)


@pytest.mark.parametrize(
    ("reason", "number"),
    [
        (Reason.SHORT_ENROLMENT, "4.2 s"),
        (Reason.CLOSE_RUNNER_UP, "Bob"),
        (Reason.UNLIKE_KNOWN_VOICES, "0.12"),
        (Reason.SEVERAL_VOICES, "6.5 s"),
        (Reason.ANOTHER_VOICE_FITS_BETTER, "SPEAKER_03"),
        (Reason.CONFIRMED_OTHERWISE, "31.0%"),
    ],
)
def test_what_kept_the_name_away_is_named(reason: Reason, number: str) -> None:
    assert number in told(reason)


def test_a_decision_of_an_older_release_has_no_numbers() -> None:
    text = sentence(Reason.ACCEPTED, probability=0.9, evidence_seconds=3.0, best="Ana", facts={})
    assert text == SENTENCES[Reason.ACCEPTED]


def test_a_label_that_a_person_set_needs_none() -> None:
    assert told(Reason.MANUAL) == SENTENCES[Reason.MANUAL]
