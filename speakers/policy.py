"""Who a diarized voice is: the rules, as one pure function over scores. The numbers come from ``make bench-speakers``.

A voice gets a name only when all of these hold; otherwise it is honestly unknown, and the reason is kept:

1. there is enough speech of it (``EVIDENCE``; less only for a clear case, ``CLEAR_EVIDENCE`` and
``CLEAR_PROBABILITY``); 2. the calibrated probability of the best candidate is at least ``ACCEPT`` (plus the user's
own shift); 3. the best candidate is clear of the runner-up by ``MARGIN``; 4. no other voice of the room fits that
candidate better (unless the two voices are the same voice, divided).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from speakers.engines.scale import RESEMBLYZER

EVIDENCE = 5.0
"""Seconds of voiced speech for a new label."""
CLEAR_EVIDENCE = 2.0
CLEAR_PROBABILITY = 0.995
ACCEPT = 0.95
"""Probability of being the same voice. Chosen on one half of the speakers: docs/speakers.md."""
MARGIN = 0.05
"""Cosine by which the best candidate must beat the runner-up."""
SUGGEST = 0.50
"""From this probability on an unknown voice is offered as a suggestion ("probably Ana")."""
SHIFT_LIMIT = 0.04
"""How far a user's corrections may move ``ACCEPT``, up or down."""

CANDIDATE_USER = "user"


class Reason(StrEnum):
    ACCEPTED = "accepted"
    MANUAL = "manual"
    WITHDRAWN = "withdrawn"
    NO_PROFILES = "no_profiles"
    TOO_LITTLE_SPEECH = "too_little_speech"
    BELOW_THRESHOLD = "below_threshold"
    CLOSE_RUNNER_UP = "close_runner_up"
    ANOTHER_VOICE_FITS_BETTER = "another_voice_fits_better"
    NOT_CALIBRATED = "not_calibrated"


SENTENCES: dict[Reason, str] = {
    Reason.ACCEPTED: "The voice matches this person and nobody else.",
    Reason.MANUAL: "A person set this label; no run changes it.",
    Reason.WITHDRAWN: "The name was taken back; the next run decides anew.",
    Reason.NO_PROFILES: "There is no voice to compare with yet.",
    Reason.TOO_LITTLE_SPEECH: "There is too little speech of this voice to be sure.",
    Reason.BELOW_THRESHOLD: "The voice is not similar enough to anybody known.",
    Reason.CLOSE_RUNNER_UP: "Two known voices fit almost equally well.",
    Reason.ANOTHER_VOICE_FITS_BETTER: "Another voice of this conversation fits that person better.",
    Reason.NOT_CALIBRATED: "The voice engine has no calibration yet, so it only makes suggestions.",
}


@dataclass(frozen=True, slots=True)
class VoiceScores:
    """One voice against every candidate: cosines and calibrated probabilities, in the candidates' order."""

    voice: str
    evidence_seconds: float
    embedding: NDArray[np.float32] | None
    cosines: NDArray[np.float32]
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class VoiceDecision:
    """What is known about one voice. ``best`` and ``suggestion`` are ``user`` or a person id, or None."""

    voice: str
    is_user: bool = False
    person_id: str | None = None
    manual: bool = False
    reason: Reason = Reason.NO_PROFILES
    probability: float = 0.0
    score: float | None = None
    best: str | None = None
    runner_up: str | None = None
    runner_up_score: float | None = None
    margin: float | None = None
    evidence_seconds: float = 0.0
    suggestion: str | None = None
    suggestion_probability: float = 0.0
    turns: list[tuple[float, float]] = field(default_factory=list)
    engine: str = ""
    engine_version: str = ""

    @property
    def decided(self) -> bool:
        return self.is_user or self.person_id is not None


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers in force: the shipped ones, moved by what the user corrected; ``calibrated`` False names nobody.
    ``same_voice``: cosine of two voices of the room above which they are one that was divided (``Scale.voice``)."""

    accept: float = ACCEPT
    margin: float = MARGIN
    evidence: float = EVIDENCE
    clear_evidence: float = CLEAR_EVIDENCE
    clear_probability: float = CLEAR_PROBABILITY
    same_voice: float = RESEMBLYZER.voice
    suggest: float = SUGGEST
    calibrated: bool = True

    def shifted(self, shift: float) -> Rules:
        bounded = max(-SHIFT_LIMIT, min(SHIFT_LIMIT, shift))
        return replace(self, accept=self.accept + bounded)


def decide(scores: list[VoiceScores], candidates: list[str], rules: Rules | None = None) -> list[VoiceDecision]:
    """One decision per voice, in order. ``candidates`` are ``user`` and person ids, as the columns of the scores."""
    rules = rules or Rules()
    decisions = [_alone(voice, candidates, rules) for voice in scores]
    return _in_the_room(scores, decisions, rules)


def _alone(voice: VoiceScores, candidates: list[str], rules: Rules) -> VoiceDecision:
    unknown = VoiceDecision(voice=voice.voice, evidence_seconds=voice.evidence_seconds)
    if not candidates:
        return unknown
    if voice.embedding is None:
        return replace(unknown, reason=Reason.TOO_LITTLE_SPEECH)
    order = np.argsort(-voice.cosines, kind="stable")
    best = int(order[0])
    second = int(order[1]) if len(order) > 1 else None
    score, probability = float(voice.cosines[best]), float(voice.probabilities[best])
    margin = score - float(voice.cosines[second]) if second is not None else None
    decision = replace(
        unknown,
        best=candidates[best],
        score=round(score, 4),
        probability=round(probability, 4),
        runner_up=candidates[second] if second is not None else None,
        runner_up_score=round(float(voice.cosines[second]), 4) if second is not None else None,
        margin=round(margin, 4) if margin is not None else None,
    )
    reason = _reason(voice.evidence_seconds, probability, margin, rules)
    if reason is Reason.ACCEPTED:
        user = candidates[best] == CANDIDATE_USER
        return replace(decision, reason=reason, is_user=user, person_id=None if user else candidates[best])
    return _suggest(replace(decision, reason=reason), rules)


def _reason(evidence: float, probability: float, margin: float | None, rules: Rules) -> Reason:
    enough = evidence >= rules.evidence
    clear = evidence >= rules.clear_evidence and probability >= rules.clear_probability
    if not rules.calibrated:  # then nothing below means anything, and nothing is known against an older label
        return Reason.NOT_CALIBRATED if enough else Reason.TOO_LITTLE_SPEECH
    if probability < rules.accept:
        return Reason.BELOW_THRESHOLD if enough else Reason.TOO_LITTLE_SPEECH
    if not enough and not clear:
        return Reason.TOO_LITTLE_SPEECH
    if margin is not None and margin < rules.margin:
        return Reason.CLOSE_RUNNER_UP
    return Reason.ACCEPTED


def _suggest(decision: VoiceDecision, rules: Rules) -> VoiceDecision:
    if decision.best is None or decision.probability < rules.suggest:
        return decision
    return replace(decision, suggestion=decision.best, suggestion_probability=decision.probability)


def _in_the_room(scores: list[VoiceScores], decisions: list[VoiceDecision], rules: Rules) -> list[VoiceDecision]:
    """Of several voices with one name, the best keeps it, with those that are the same voice, divided."""
    by_voice = {voice.voice: voice for voice in scores}
    strongest: dict[str, VoiceDecision] = {}
    for decision in decisions:
        if decision.decided and decision.best is not None:
            other = strongest.get(decision.best)
            if other is None or (decision.score or 0.0) > (other.score or 0.0):
                strongest[decision.best] = decision
    settled = []
    for decision in decisions:
        winner = strongest.get(decision.best or "") if decision.decided else None
        if winner is not None and winner is not decision:
            a, b = by_voice[winner.voice].embedding, by_voice[decision.voice].embedding
            if a is None or b is None or float(a @ b) < rules.same_voice:
                decision = _suggest(
                    replace(decision, is_user=False, person_id=None, reason=Reason.ANOTHER_VOICE_FITS_BETTER), rules
                )
        settled.append(decision)
    return settled
