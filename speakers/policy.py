"""Who the voices of one conversation are: the rules, as one pure function over scores, live and afterwards.

``decide`` sees **all** voices of the conversation, named or not, and can be asked again when there is more evidence: it
keeps no state, so a name that no longer holds is not in the next answer. A voice gets a name only when all of these
hold; otherwise it is honestly unknown, and the reason is kept:

1. the person is enrolled with enough speech (``ENROLMENT``), and there is enough of the voice (``EVIDENCE``; less only
   for a clear case, ``CLEAR_EVIDENCE`` and ``CLEAR_PROBABILITY``);
2. the calibrated probability of the best candidate is at least ``ACCEPT`` (or what is in force for this user);
3. the voice is not far from every voice that the calibration knows (``Rules.coverage``): there the probability means
   nothing;
4. the best candidate is clear of the runner-up by ``Rules.margin``;
5. at most ``FOREIGN`` of its speech lies in pieces that, judged alone, are rather not the candidate (``AGREES``): one
   label that holds two people is nobody's, also where the mean of the two would do;
6. its windows of 1.6 s agree with each other and with the candidate, too, where there are enough: two people at once
   (``MOMENT_ODDS``, ``MOMENT_LIKENESS``) are nobody either;
7. every other voice of the room that fits the candidate as well is shown to be the same voice, divided (``SAME``, with
   ``EVIDENCE`` of both). One person is one voice of the room; a voice that a person confirmed comes before all others.

The same answer comes for every order of the voices. A higher ``accept``, ``evidence`` or ``margin``, and one voice more
in the room, only take names away.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from speakers.clips import FEWEST_MOMENTS
from speakers.reasons import Reason

EVIDENCE = 5.0
"""Seconds of voiced speech for a new label."""
CLEAR_EVIDENCE = 2.0
CLEAR_PROBABILITY = 0.995
EARNED = 8.0
"""Seconds of voiced speech from which a name is no longer provisional: what the figures of docs/speakers.md are of."""
ACCEPT = 0.95
"""Probability of being the same voice. Chosen on one half of the speakers: docs/speakers.md."""
ENROLMENT = 5.0
"""Seconds of enrolled speech from which a voice is named; under it, which was not measured, there are suggestions."""
MARGIN = 0.05
"""Cosine by which the best candidate must beat the runner-up (of an engine without a scale of its own)."""
SAME = 0.95
"""Probability from which two voices of a room, which were told apart, are one that was divided."""
TIE = 1.0
"""Log odds: where two different voices fit one candidate with less between them, neither gets the name."""
SUGGEST = 0.50
"""From this probability on an unknown voice is offered as a suggestion ("probably Ana")."""
AGREES = 0.25
"""Probability under which a piece of the voice, judged alone, is somebody else's."""
LEAST_PIECE = 3.0
"""Seconds of a piece that is judged alone: of 2 s some of the right person fall short (docs/speakers.md)."""
FOREIGN = 0.15
"""Share of the judged seconds that may be somebody else's: of 20 s one piece."""
LOWEST = 0.4
"""Share of the windows of 1.6 s, those that fit worst, by whose mean they are judged."""
MOMENT_ODDS = -3.5
"""Log odds of the windows that fit worst under which two people speak at once: 1.6 s of one fit badly, but not so."""
MOMENT_LIKENESS = 0.50
"""The same of their cosine to the voice's mean: where two speak at once now the one prevails and now the other."""
SHIFT_LIMIT = 0.04
"""How far an experiment, or what a user's corrections teach, may move ``ACCEPT``, up or down."""

CANDIDATE_USER = "user"
NOBODY = ""
"""``VoiceScores.confirmed``: a person said that the voice is nobody who is known."""


@dataclass(frozen=True, slots=True)
class VoiceScores:
    """One voice against every candidate: cosines and calibrated log odds, in the candidates' order.

    ``embedding`` None: nothing to compare. ``coverage``: cosine of the nearest voices that the calibration knows.
    ``confirmed``: what a person said of the voice (a candidate's id or ``NOBODY``), None where nobody said anything.
    ``pieces``: log odds of each piece of the voice that it is the best candidate, of ``piece_seconds`` each; both (n,).
    ``moments``: the same of each window of 1.6 s, and ``likeness`` its cosine to ``embedding``; both (m,).
    """

    voice: str
    evidence_seconds: float
    embedding: NDArray[np.float32] | None
    cosines: NDArray[np.float32]
    logits: NDArray[np.float32]
    coverage: float = 1.0
    confirmed: str | None = None
    pieces: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    piece_seconds: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    moments: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    likeness: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def at_once(self) -> bool:
        """Whether the windows say that several people speak at the same time, or by turns shorter than a piece."""
        if len(self.moments) < FEWEST_MOMENTS:
            return False
        return _lowest(self.moments) < MOMENT_ODDS or _lowest(self.likeness) < MOMENT_LIKENESS

    def foreign(self, agrees: float = AGREES) -> tuple[float, float]:
        """Return the seconds that were judged piece by piece, and those of them rather not the best candidate's."""
        long = self.piece_seconds >= LEAST_PIECE - 1e-3
        strange = long & (self.pieces < np.log(agrees / (1 - agrees)))
        return float(self.piece_seconds[long].sum()), float(self.piece_seconds[strange].sum())


@dataclass(frozen=True, slots=True)
class Room:
    """All voices of a conversation, and who they might be.

    ``candidates``: ``user`` and person ids; ``enrolled``: seconds of speech that each is enrolled with; ``same``:
    (voices, voices) probability that two of the voices are one.
    """

    candidates: list[str]
    enrolled: NDArray[np.float32]
    voices: list[VoiceScores]
    same: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class VoiceDecision:
    """What is known about one voice. ``best`` and ``suggestion`` are ``user`` or a person id, or None.

    ``provisional``: named on less than ``EARNED`` seconds. ``bar``: the probability that was asked for; ``coverage``
    as in ``VoiceScores``; ``rival``: the other voice of the room that decided, with the probability that it is the same
    voice; ``foreign_seconds``: of the speech, in pieces that are rather not ``best``; ``at_once``: as there.
    """

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
    provisional: bool = False
    bar: float = 0.0
    coverage: float | None = None
    enrolled_seconds: float | None = None
    rival: str | None = None
    rival_same: float | None = None
    foreign_seconds: float | None = None
    at_once: bool = False

    @property
    def decided(self) -> bool:
        return self.is_user or self.person_id is not None


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers in force: the shipped ones, moved by what the user corrected; ``calibrated`` False names nobody.
    ``coverage``: cosine to the nearest known voices under which a probability means nothing."""

    accept: float = ACCEPT
    margin: float = MARGIN
    evidence: float = EVIDENCE
    clear_evidence: float = CLEAR_EVIDENCE
    clear_probability: float = CLEAR_PROBABILITY
    enrolment: float = ENROLMENT
    earned: float = EARNED
    agrees: float = AGREES
    foreign: float = FOREIGN
    same: float = SAME
    coverage: float = 0.0
    suggest: float = SUGGEST
    calibrated: bool = True


def probability(logit: float) -> float:
    """Return the logistic of a logit, 0..1; beyond 50 either way nothing changes."""
    return float(1 / (1 + np.exp(-np.clip(logit, -50, 50))))


def _lowest(values: NDArray[np.float32]) -> float:
    return float(np.sort(values)[: round(len(values) * LOWEST)].mean())


def decide(room: Room, rules: Rules | None = None) -> list[VoiceDecision]:
    """Return one decision per voice, in the order of ``room.voices``."""
    rules = rules or Rules()
    return [_in_the_room(at, _alone(at, room, rules), room, rules) for at in range(len(room.voices))]


def _alone(at: int, room: Room, rules: Rules) -> VoiceDecision:
    """What the voice would be if it were the only one."""
    voice = room.voices[at]
    if voice.confirmed is not None:
        return _confirmed(voice)
    unknown = VoiceDecision(voice=voice.voice, evidence_seconds=voice.evidence_seconds)
    if not room.candidates:
        return unknown
    if voice.embedding is None:
        return replace(unknown, reason=Reason.TOO_LITTLE_SPEECH)
    order = np.argsort(-voice.logits, kind="stable")
    best = int(order[0])
    second = int(order[1]) if len(order) > 1 else None
    score, likely = float(voice.cosines[best]), probability(float(voice.logits[best]))
    margin = score - float(voice.cosines[second]) if second is not None else None
    decision = replace(
        unknown,
        best=room.candidates[best],
        score=round(score, 4),
        probability=round(likely, 4),
        runner_up=room.candidates[second] if second is not None else None,
        runner_up_score=round(float(voice.cosines[second]), 4) if second is not None else None,
        margin=round(margin, 4) if margin is not None else None,
        bar=round(rules.accept, 4),
        coverage=round(voice.coverage, 4),
        enrolled_seconds=round(float(room.enrolled[best]), 2),
        foreign_seconds=round(voice.foreign(rules.agrees)[1], 2),
        at_once=voice.at_once,
    )
    reason = _reason(voice, likely, margin, float(room.enrolled[best]), rules)
    if reason is not Reason.ACCEPTED:
        return _suggest(replace(decision, reason=reason), rules)
    user = room.candidates[best] == CANDIDATE_USER
    return replace(
        decision,
        reason=reason,
        is_user=user,
        person_id=None if user else room.candidates[best],
        provisional=voice.evidence_seconds < rules.earned,
    )


def _confirmed(voice: VoiceScores) -> VoiceDecision:
    user = voice.confirmed == CANDIDATE_USER
    return VoiceDecision(
        voice=voice.voice,
        evidence_seconds=voice.evidence_seconds,
        is_user=user,
        person_id=None if user else voice.confirmed or None,
        manual=True,
        reason=Reason.MANUAL,
    )


def _reason(voice: VoiceScores, likely: float, margin: float | None, enrolled: float, rules: Rules) -> Reason:
    enough = voice.evidence_seconds >= rules.evidence
    clear = voice.evidence_seconds >= rules.clear_evidence and likely >= rules.clear_probability
    if not rules.calibrated:  # then nothing below means anything, and nothing is known against an older label
        return Reason.NOT_CALIBRATED if enough else Reason.TOO_LITTLE_SPEECH
    if likely < rules.accept:
        return Reason.BELOW_THRESHOLD if enough else Reason.TOO_LITTLE_SPEECH
    if not enough and not clear:
        return Reason.TOO_LITTLE_SPEECH
    if enrolled < rules.enrolment:
        return Reason.SHORT_ENROLMENT
    if voice.coverage < rules.coverage:
        return Reason.UNLIKE_KNOWN_VOICES
    if margin is not None and margin < rules.margin:
        return Reason.CLOSE_RUNNER_UP
    judged, foreign = voice.foreign(rules.agrees)
    if foreign > rules.foreign * judged or voice.at_once:
        return Reason.SEVERAL_VOICES
    return Reason.ACCEPTED


def _suggest(decision: VoiceDecision, rules: Rules) -> VoiceDecision:
    """Nobody is suggested for two voices: whoever confirmed it would teach the profile the other one."""
    unlikely = decision.best is None or decision.probability < rules.suggest
    if unlikely or decision.reason is Reason.SEVERAL_VOICES:
        return decision
    return replace(decision, suggestion=decision.best, suggestion_probability=decision.probability)


def _in_the_room(at: int, decision: VoiceDecision, room: Room, rules: Rules) -> VoiceDecision:
    """``decision`` again with the other voices in view: one person is one voice of the room."""
    if decision.manual or not decision.decided:
        return decision
    assert decision.best is not None
    candidate = room.candidates.index(decision.best)
    for other in _rivals(at, candidate, room, rules):
        same = float(room.same[at, other])
        rival = room.voices[other]
        shown = same >= rules.same and min(room.voices[at].evidence_seconds, rival.evidence_seconds) >= rules.evidence
        if rival.confirmed is not None and rival.confirmed != decision.best:
            if not shown:
                continue  # somebody else, as a person said, and not this voice: no rival
            reason = Reason.CONFIRMED_OTHERWISE
        elif shown:
            continue
        else:
            reason = Reason.ANOTHER_VOICE_FITS_BETTER
        taken = replace(
            decision, is_user=False, person_id=None, provisional=False, reason=reason,
            rival=rival.voice, rival_same=round(same, 4),
        )  # fmt: skip
        return _suggest(taken, rules) if reason is not Reason.CONFIRMED_OTHERWISE else taken
    return decision


def _rivals(at: int, candidate: int, room: Room, rules: Rules) -> list[int]:
    """Voices that fit the candidate as well, and all that a person confirmed; the best first."""
    own = room.voices[at]
    mine = float(own.logits[candidate])
    found: list[tuple[float, str, int]] = []
    for other, voice in enumerate(room.voices):
        if other == at or voice.embedding is None:
            if other != at and voice.confirmed == room.candidates[candidate]:
                found.append((np.inf, voice.voice, other))  # nothing shows that this is the same voice
            continue
        if voice.confirmed is not None:
            found.append((np.inf, voice.voice, other))
            continue
        theirs = float(voice.logits[candidate])
        if _fits_as_well(voice, theirs, own, mine, float(room.same[at, other]), rules):
            found.append((theirs, voice.voice, other))
    return [other for _, _, other in sorted(found, key=lambda item: (-item[0], item[1]))]


def _fits_as_well(other: VoiceScores, theirs: float, own: VoiceScores, mine: float, same: float, rules: Rules) -> bool:
    """Whether ``other`` stands in the way of ``own``: what was heard for long comes before what was heard shortly, and
    of two of a kind the better fit; on equal scores the label decides, so that exactly one of the two keeps the name.
    """
    if other.evidence_seconds < rules.clear_evidence:
        return False
    long, short = other.evidence_seconds >= rules.evidence, own.evidence_seconds < rules.evidence
    if long and short:
        return theirs >= 0
    if not long and not short:
        return False
    different_and_near = same < rules.suggest and theirs >= 0 and theirs > mine - TIE
    return different_and_near or theirs > mine or (theirs == mine and other.voice < own.voice)
