"""The vote on real mistakes: one recogniser that heard the bundled conversation in several ways.

Its errors are not independent: the hardest case for a vote. ``hearings.json`` holds what an engine heard of the bundled
recording in seven ways (noise, telephone band, speed, other search settings), with times.
"""

from __future__ import annotations

import json
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from tests.transcription.test_consensus import error_rate, truth
from transcription.consensus import vote, weights_from
from transcription.segments import Word

HEARINGS = json.loads((Path(__file__).parent / "hearings.json").read_text())["conversation"]["heard"]
PAUSES = [0.0, 10.4, 22.9, 35.5, 46.9, 57.6, 67.2, 81.0]
"""Pauses of the conversation (s). Constants were chosen on the first, third... part; the test is on the others."""


def parts(words: list[Word], first: int) -> list[Word]:
    spans = list(pairwise(PAUSES))[first::2]
    return [word for word in words if any(start <= (word.start + word.end) / 2 < end for start, end in spans)]


def heard(first: int) -> dict[str, list[Word]]:
    everything = {
        name: [Word(text=text, start=start, end=end) for text, start, end in found] for name, found in HEARINGS.items()
    }
    return {name: parts(words, first) for name, words in everything.items()}


@pytest.mark.parametrize("size", [2, 3, 4])
def test_with_correlated_mistakes_it_is_never_much_worse_than_the_best_and_better_than_the_average(size: int) -> None:
    """Each choice of hearings is a session with so many vendors; weights are the accuracies in the tested half."""
    true, test = parts(truth(), 1), heard(1)
    errors = {name: error_rate(words, true) for name, words in test.items()}
    best = average = voted = 0.0
    for names in combinations(test, size):
        weights = weights_from({name: 1 - errors[name] for name in names})
        best += min(errors[name] for name in names)
        average += sum(errors[name] for name in names) / size
        voted += error_rate(vote({name: test[name] for name in names}, weights), true)
    print(f"{size} hearings: vote {voted / best - 1:+.1%} of the best, {voted / average - 1:+.1%} of the average")
    assert voted <= best * 1.01
    assert voted < average * 0.75
