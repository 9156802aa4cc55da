"""The conversations on vectors of ``python -m bench.conversations``: decisions on speech that is embedded already.

Each turn is one of the probes that ``python -m bench.speakers`` embedded (mostly 8 s of a voice, in one of seven
conditions). Driven are the scoring, the decision about all voices of the room after every turn, and the joining of
labels of several connections; left out are the cutting of audio and the session around it. It takes minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.speakers_conditions import CONDITIONS
from bench.speakers_trials import Probe, Voice
from speakers.calibration import Calibration
from speakers.clips import MOST_LISTENED, WINDOW
from speakers.engines.scale import CAMPPLUS
from speakers.gallery import Candidates
from speakers.policy import Rules, VoiceDecision, decide
from speakers.reasons import UNJUDGED
from speakers.scoring import VoiceEvidence, room_of
from speakers.turns import Heard, joined
from transcription.segments import speaker_label

ENROLLED = 20.0
PAUSE = 0.6
SAME_SEX = 0.8
HEARD = tuple(name for name in CONDITIONS if name not in ("telephone", "mu-law 8 kHz"))
"""A wearable hears no telephones."""
MOST_MOMENTS = round(MOST_LISTENED / WINDOW)
"""Windows of a voice. Only probes of 8 s have some: nearly all turns are such."""


@dataclass(frozen=True)
class Turn:
    """``connection`` and ``live``: which one it was, and its label of the speaker, counted on through the session."""

    start: float
    end: float
    name: str
    connection: int
    live: str
    probe: Probe


@dataclass(frozen=True)
class Answers:
    """Names of each turn ("user", "person" or "") and the label under which it stands."""

    shown: list[str]
    final: list[str]
    memory: list[str]
    memory_labels: list[str]
    post: list[str]


def make(voices: Sequence[Voice], user: Voice, seed: int) -> list[Turn]:
    """2 to 5 voices, mostly of the user's sex; in every second conversation the user is one of them; up to three times
    a vendor drops out and speakers are counted anew."""
    rng = np.random.default_rng(seed)
    count, condition = int(rng.integers(2, 6)), HEARD[int(rng.integers(len(HEARD)))]
    alike = rng.random() < SAME_SEX
    others = [
        voice
        for voice in voices
        if voice.name != user.name and (not alike or voice.sex == user.sex) and _said(voice, condition)
    ]
    chosen = [others[at] for at in rng.choice(len(others), min(count, len(others)), replace=False)]
    present = [user, *chosen[: count - 1]] if seed % 2 == 0 and _said(user, condition) else chosen
    left = {voice.name: _said(voice, condition) for voice in present}
    order: list[str] = []
    remaining = {name: len(probes) for name, probes in left.items()}
    while any(remaining.values()):
        open_ = [name for name, number in remaining.items() if number]
        name = str(rng.choice([item for item in open_ if not order or item != order[-1]] or open_))
        remaining[name] -= 1
        order.append(name)
    drops = set(rng.choice(np.arange(1, len(order)), min(int(rng.integers(0, 4)), len(order) - 1), replace=False))
    turns: list[Turn] = []
    labels: dict[str, str] = {}
    known = connection = 0
    at = 0.0
    for number, name in enumerate(order):
        if number in drops:
            labels, connection = {}, connection + 1
        if name not in labels:
            labels[name], known = speaker_label(known), known + 1
        probe = left[name].pop(0)
        turns.append(Turn(at, at + probe.seconds, name, connection, labels[name], probe))
        at += probe.seconds + PAUSE
    return turns


def _said(voice: Voice, condition: str) -> list[Probe]:
    """The longest pieces of this voice in this condition that do not overlap."""
    for seconds in (8, 5, 3):
        if probes := [item for item in voice.probes if item.condition == condition and item.seconds == seconds]:
            return probes
    return []


def known(user: Voice, person: Voice) -> Candidates:
    assert user.profile is not None
    assert person.profile is not None
    profiles = np.stack([user.profile, person.profile])
    return Candidates(["user", "person"], profiles, np.full(2, ENROLLED, np.float32), "", "")


def answers(turns: Sequence[Turn], people: Candidates, calibration: Calibration, rules: Rules) -> Answers:
    def asked(until: int, label: Callable[[Turn], str]) -> dict[str, VoiceDecision]:
        heard: dict[str, list[Turn]] = {}
        for turn in turns[:until]:
            heard.setdefault(label(turn), []).append(turn)
        evidence = [
            VoiceEvidence(
                name, sum(turn.probe.seconds for turn in own), np.concatenate([turn.probe.rows for turn in own]),
                np.concatenate([turn.probe.weights for turn in own]),
                moments=np.concatenate([turn.probe.moments for turn in own])[:MOST_MOMENTS],
            )
            for name, own in heard.items()
        ]  # fmt: skip
        return {found.voice: found for found in decide(room_of(evidence, people, calibration), rules)}

    current: dict[str, str] = {}
    shown = []
    for number, turn in enumerate(turns, 1):
        for label, found in asked(number, lambda item: item.live).items():
            if found.reason not in UNJUDGED:
                current[label] = _name(found)
        shown.append(current.get(turn.live, ""))
    same = _joined(turns)
    memory, post = asked(len(turns), lambda turn: same[turn.live]), asked(len(turns), lambda turn: turn.name)
    return Answers(
        shown,
        [current.get(turn.live, "") for turn in turns],
        [_name(memory[same[turn.live]]) for turn in turns],
        [same[turn.live] for turn in turns],
        [_name(post[turn.name]) for turn in turns],
    )


def _joined(turns: Sequence[Turn]) -> dict[str, str]:
    """Each live label's representative, as ``speakers.turns.repair_labels`` joins them."""
    heard: dict[Hashable, Heard] = {}
    for connection, live in dict.fromkeys((turn.connection, turn.live) for turn in turns):
        own = [turn.probe for turn in turns if turn.live == live]
        total = np.sum([probe.seconds * probe.vector for probe in own], axis=0)
        heard[live] = Heard(total / np.linalg.norm(total), sum(probe.seconds for probe in own), frozenset({connection}))
    return {str(live): str(whose) for live, whose in joined(heard, CAMPPLUS).items()}


def _name(found: VoiceDecision) -> str:
    return "user" if found.is_user else found.person_id or ""
