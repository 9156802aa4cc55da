"""The vote of several vendors against the best single one, on simulated talks.

    python -m bench.vote [--talks 1000] [--seed 1]

A talk has 20 to 600 words; each of three vendors errs in 3 to 15 % of them (a third each misheard, left out, made up).
Errors are independent, or a part of them (``shared``) comes from the same hard words, misheard by all in the same way,
or two vendors are of one family and share half of theirs. Weights are unset, right, or the wrong way round. *Best*: the
vendor that had the fewest errors in this very talk, which nobody can know before.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from transcription.consensus import vote, weights_from
from transcription.segments import Word

WORDS = [f"w{index}" for index in range(400)]
RATES = (0.03, 0.15)
KINDS = {"independent": 0.0, "shared 30 %": 0.3, "shared 60 %": 0.6, "two of one family": 0.5}
WEIGHTS = ("unset", "right", "wrong")


@dataclass
class Row:
    """Word error rates (0..1) of one kind of talk, one entry a talk."""

    best: list[float] = field(default_factory=list)
    preferred: list[float] = field(default_factory=list)
    average: list[float] = field(default_factory=list)
    voted: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in WEIGHTS})

    def relative(self, weights: str) -> float:
        """How much worse (better: below 0) than the best vendor in the mean, as a share of its errors."""
        return float(np.mean(self.voted[weights]) / np.mean(self.best) - 1)

    def worst(self, weights: str, other: str = "best", quantile: float = 0.95) -> float:
        """Points (0..1) by which the vote is worse than ``other`` (``best`` or ``preferred``) at most, in this share of
        the talks."""
        return float(np.quantile(np.array(self.voted[weights]) - np.array(getattr(self, other)), quantile))


def talk(rng: random.Random) -> list[Word]:
    at, words = 0.0, []
    for _ in range(rng.randint(20, 600)):
        size = rng.uniform(0.15, 0.45)
        words.append(Word(text=rng.choice(WORDS), start=at, end=at + size))
        at += size + (rng.uniform(0.5, 2.0) if rng.random() < 0.06 else rng.uniform(0.0, 0.1))
    return words


def hearings(true: Sequence[Word], rates: Sequence[float], kind: str, rng: random.Random) -> list[list[Word]]:
    """What vendors of these error rates hear."""
    part = KINDS[kind]
    sharing = [part] * len(rates) if kind != "two of one family" else [0.0, *[part] * (len(rates) - 1)]
    hard = [(rng.random(), rng.randrange(3), rng.choice(WORDS)) for _ in true]
    found = []
    for rate, shared in zip(rates, sharing, strict=True):
        words: list[Word] = []
        for word, (difficulty, how, instead) in zip(true, hard, strict=True):
            error: int | None = None
            if difficulty < rate * shared:
                error, other = how, instead
            elif rng.random() < rate * (1 - shared):
                error, other = rng.randrange(3), rng.choice(WORDS)
            start = max(0.0, word.start + rng.gauss(0, 0.04))
            end = max(start + 0.05, word.end + rng.gauss(0, 0.04))
            if error == 0:
                continue
            words.append(Word(text=other if error == 1 else word.text, start=start, end=end))
            if error == 2:
                words.append(Word(text=other, start=end, end=end + 0.1))
        found.append(sorted(words, key=lambda item: (item.start, item.end)))
    return found


def error_rate(heard: Sequence[Word], true: Sequence[Word]) -> float:
    """Edit distance of the words over the number of true ones."""
    numbers: dict[str, int] = {}
    a, b = (
        np.array([numbers.setdefault(word.text, len(numbers)) for word in words], np.int32) for words in (heard, true)
    )
    step = np.arange(len(b) + 1, dtype=np.int32)
    row = step.copy()
    for index, text in enumerate(a, 1):
        new = np.empty_like(row)
        new[0] = index
        np.minimum(row[:-1] + (b != text), row[1:] + 1, out=new[1:])
        row = np.minimum.accumulate(new - step) + step
    return float(row[-1]) / len(b)


def measured(talks: int, seed: int, kinds: Sequence[str] = tuple(KINDS)) -> Iterator[tuple[str, Row]]:
    for kind in kinds:
        row, rng = Row(), random.Random(f"{seed} {kind}")
        for _ in range(talks):
            true = talk(rng)
            rates = [rng.uniform(*RATES) for _ in range(3)]
            heard = hearings(true, rates, kind, rng)
            order = list(range(3))
            rng.shuffle(order)  # whoever is preferred
            named = {f"v{index}": heard[index] for index in order}
            errors = [error_rate(words, true) for words in heard]
            row.best.append(min(errors))
            row.preferred.append(errors[order[0]])
            row.average.append(sum(errors) / 3)
            right = {f"v{index}": 1 - rate for index, rate in enumerate(rates)}
            wrong = {f"v{index}": 1 - max(rates) - min(rates) + rate for index, rate in enumerate(rates)}
            for name, accuracy in (("unset", None), ("right", right), ("wrong", wrong)):
                weights = weights_from(accuracy) if accuracy else None
                row.voted[name].append(error_rate(vote(named, weights), true))
        yield kind, row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--talks", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(
        "| errors | weights | best | preferred | average | vote | against the best | 95 % of talks: best | preferred |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind, row in measured(options.talks, options.seed):
        for name in WEIGHTS:
            means = " | ".join(
                f"{np.mean(values):.1%}" for values in (row.best, row.preferred, row.average, row.voted[name])
            )
            points = f"{100 * row.worst(name):+.1f} | {100 * row.worst(name, 'preferred'):+.1f}"
            print(f"| {kind} | {name} | {means} | {row.relative(name):+.0%} | {points} |", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.settings")
    main()
