"""Why a voice has the name that it has, or none: codes, and for each a sentence with the numbers that decided."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """The codes of why a voice has its name, or none."""

    ACCEPTED = "accepted"
    MANUAL = "manual"
    WITHDRAWN = "withdrawn"
    NO_PROFILES = "no_profiles"
    TOO_LITTLE_SPEECH = "too_little_speech"
    BELOW_THRESHOLD = "below_threshold"
    SHORT_ENROLMENT = "short_enrolment"
    UNLIKE_KNOWN_VOICES = "unlike_known_voices"
    CLOSE_RUNNER_UP = "close_runner_up"
    SEVERAL_VOICES = "several_voices"
    ANOTHER_VOICE_FITS_BETTER = "another_voice_fits_better"
    CONFIRMED_OTHERWISE = "confirmed_otherwise"
    NOT_CALIBRATED = "not_calibrated"


UNJUDGED = frozenset({Reason.NO_PROFILES, Reason.TOO_LITTLE_SPEECH, Reason.NOT_CALIBRATED})
"""Reasons that say nothing against the label a voice already has."""


SENTENCES: dict[Reason, str] = {
    Reason.ACCEPTED: "Of the voices that are known this one fits best, and well enough for a name.",
    Reason.MANUAL: "A person set this label; no run changes it.",
    Reason.WITHDRAWN: "The name was taken back; the next run decides anew.",
    Reason.NO_PROFILES: "There is no voice to compare with yet.",
    Reason.TOO_LITTLE_SPEECH: "There is too little speech of this voice to be sure.",
    Reason.BELOW_THRESHOLD: "The voice is not similar enough to anybody known.",
    Reason.SHORT_ENROLMENT: "That person's own recording is too short for a name; a longer one makes it possible.",
    Reason.UNLIKE_KNOWN_VOICES: "The voice is unlike all voices that recognition was tried on: it gets no name.",
    Reason.CLOSE_RUNNER_UP: "Two known voices fit almost equally well.",
    Reason.SEVERAL_VOICES: "The speech under this label does not sound like one person: a part of it is rather "
    "somebody else's, or several people speak at once.",
    Reason.ANOTHER_VOICE_FITS_BETTER: "Another voice of this conversation fits that person as well or better, and is "
    "not shown to be the same voice.",
    Reason.CONFIRMED_OTHERWISE: "The voice is the same as another one here, of which a person said whose it is.",
    Reason.NOT_CALIBRATED: "The voice engine has no calibration yet, so it only makes suggestions.",
}


def sentence(
    reason: Reason,
    *,
    probability: float,
    evidence_seconds: float,
    best: str | None = None,
    runner_up: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> str:
    """The sentence of ``reason`` with what decided: ``best`` and ``runner_up`` are names, ``facts`` as a
    ``SpeakerDecision`` has them (empty for decisions of an older release: then there are no numbers)."""
    known = dict(facts or {})
    text = SENTENCES[reason]
    if reason in {Reason.MANUAL, Reason.WITHDRAWN, Reason.NO_PROFILES} or not known.get("bar"):
        return text
    heard = f"{evidence_seconds:.1f} s of speech were heard"
    if best is None:
        return f"{text} {heard}."
    numbers = f"{heard}; they fit {best} with a probability of {probability:.1%}, and {known['bar']:.1%} is asked for"
    if reason is Reason.SHORT_ENROLMENT:
        numbers += f"; {best} is enrolled with {known['enrolled_seconds']:.1f} s"
    elif reason is Reason.CLOSE_RUNNER_UP and runner_up is not None:
        numbers += f"; the other one is {runner_up}"
    elif reason is Reason.SEVERAL_VOICES:
        numbers += f"; {known['foreign_seconds']:.1f} s of them, heard by themselves, do not"
        numbers += "; from one moment to the next other people are heard" if known.get("at_once") else ""
    elif reason is Reason.UNLIKE_KNOWN_VOICES:
        numbers += f"; its likeness to the nearest voices tried is {known['coverage']:.2f}"
    elif known.get("rival"):
        numbers += (
            f"; the other voice is {known['rival']}, the same one with a probability of {known['rival_same']:.1%}"
        )
    elif reason is Reason.ACCEPTED and known.get("provisional"):
        numbers += "; the name is provisional until there is more speech"
    return f"{text} {numbers}."
