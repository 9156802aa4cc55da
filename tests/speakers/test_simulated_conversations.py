"""The simulation that docs/speakers.md takes its table from, on voices made of numbers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bench.conversations_tally import Tally
from bench.conversations_vectors import HEARD, answers, known, make
from bench.speakers_report import accepted
from bench.speakers_trials import Probe, Voice, trials
from speakers.calibration import Calibration, Weights
from speakers.policy import Rules

WEIGHTS = Weights(bias=-10.0, norm=1.5, cosine=9.0)


def unit(rng: np.random.Generator, around: np.ndarray | None = None, spread: float = 1.0) -> np.ndarray:
    row = rng.normal(size=64) * spread + (0 if around is None else around)
    return (row / np.linalg.norm(row)).astype(np.float32)


def around(rng: np.random.Generator, centre: np.ndarray, count: int) -> np.ndarray:
    return np.stack([unit(rng, centre, 0.06) for _ in range(count)])


@pytest.fixture(scope="module")
def voices() -> list[Voice]:
    rng = np.random.default_rng(5)
    made = []
    for number in range(12):
        centre = unit(rng)
        probes = [
            Probe(name, 8, around(rng, centre, 1), np.array([8.0], np.float32), around(rng, centre, 5))
            for name in HEARD
            for _ in range(2)
        ]
        profile = np.stack([unit(rng, centre, 0.05) for _ in range(4)])
        made.append(
            Voice(f"v{number:02d}", "made", "MF"[number % 2], "none", "none", profile, profile, profile, probes)
        )
    return made


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    rng = np.random.default_rng(6)
    return Calibration("", "", WEIGHTS, WEIGHTS, np.stack([[unit(rng) for _ in range(40)] for _ in range(4)]))


def test_a_seed_is_a_conversation_with_the_user_in_every_second_one(voices: list[Voice]) -> None:
    for seed in range(40):
        turns = make(voices, voices[0], seed)
        assert [(turn.name, turn.live) for turn in turns] == [
            (turn.name, turn.live) for turn in make(voices, voices[0], seed)
        ]
        assert any(turn.name == "v00" for turn in turns) == (seed % 2 == 0)
        assert 2 <= len({turn.name for turn in turns}) <= 5
        assert all(a.end <= b.start for a, b in pairwise(turns))
        labels = {(turn.connection, turn.live): turn.name for turn in turns}
        assert len(labels) == len({turn.live for turn in turns}), "no label means two voices or two connections"


def test_distinct_voices_are_named_rightly_through_drops(voices: list[Voice], calibration: Calibration) -> None:
    tallies = [Tally() for _ in range(3)]
    for seed in range(60):
        turns = make(voices, voices[0], seed)
        found = answers(turns, known(voices[0], voices[1]), calibration, Rules())
        who = {"v00": "user", "v01": "person"}
        for tally, labels, names in zip(
            tallies,
            ([turn.live for turn in turns], found.memory_labels, [turn.name for turn in turns]),
            (found.final, found.memory, found.post),
            strict=True,
        ):
            tally.add(turns, labels, names, who)
    live, memory, post = tallies
    assert live.taken == memory.taken == post.taken == 0
    assert post.missed == 0
    assert post.divided == post.total
    assert memory.divided > live.divided, "labels of several connections were joined"
    assert memory.divided > 0.99 * memory.total


def two_at_once(voice: Voice, other: Voice) -> Voice:
    """``voice`` with windows in which now and then ``other`` prevails."""
    probes = [
        probe._replace(moments=np.concatenate([probe.moments[:3], over.moments[:2]]))
        for probe, over in zip(voice.probes, other.probes, strict=True)
    ]
    return replace(voice, probes=probes)


def test_a_label_of_two_people_at_once_names_nobody_in_the_simulation(
    voices: list[Voice], calibration: Calibration
) -> None:
    user = two_at_once(voices[0], voices[2])
    turns = make([user, *voices[1:]], user, 0)
    found = answers(turns, known(user, voices[1]), calibration, Rules())
    assert any(turn.name == user.name for turn in turns)
    assert "user" not in {*found.shown, *found.final, *found.memory, *found.post}


def test_the_tables_of_trials_know_the_rule_of_two_people_at_once(
    voices: list[Voice], calibration: Calibration
) -> None:
    def named(user: Voice) -> list[bool]:
        return [accepted(t, WEIGHTS, 0.0) for t in trials([user], voices, calibration) if t.target]

    assert all(named(voices[0]))
    assert not any(named(two_at_once(voices[0], voices[2])))


def test_a_stranger_that_is_taken_for_the_user_is_counted(voices: list[Voice]) -> None:
    turns = make(voices, voices[0], 1)
    tally = Tally()
    tally.add(turns, [turn.name for turn in turns], ["user"] * len(turns), {"v00": "user"})
    assert tally.taken == tally.others == tally.total
    assert tally.named == 0


def test_where_nothing_happened_no_rate_is_claimed(voices: list[Voice]) -> None:
    tally, other = Tally(), Tally()
    for seed in range(30):
        turns = make(voices, voices[0], seed)
        labels = [turn.name for turn in turns]
        tally.add(turns, labels, ["user" if name == "v00" else "" for name in labels], {"v00": "user"})
        other.add(turns, labels, ["user" if seed == 3 else ""] * len(turns), {"v00": "user"})
    taken, missed, name, voice = tally.cells()
    assert taken.startswith("none of")
    assert "in under 10.0% of talks" in taken
    assert missed.startswith("none of")
    assert name.startswith("100.00%")
    assert voice.startswith("100.00% (100.00% to")
    taken, missed, _, _ = other.cells()
    assert "in 1 of 30 talks" in taken
    assert missed.startswith("100.00%")


def test_pieces_judged_at_once_have_the_odds_of_each_by_itself(voices: list[Voice], calibration: Calibration) -> None:
    profile, rows = voices[0].profile, np.concatenate([probe.moments for probe in voices[0].probes])
    assert profile is not None
    single = [calibration.scores(row, profile[None])[1][0] for row in rows]
    assert np.allclose(calibration.odds(rows, profile), single, atol=1e-4)
    assert calibration.odds(rows[:0], profile).shape == (0,)
