"""What is counted of simulated conversations, and the table of ``python -m bench.conversations``.

Intervals are 95 %, by bootstrap of the conversations: seconds of one conversation stand and fall together. Where
nothing happened no rate is claimed: with n conversations it may still happen in 3 / n of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

RESAMPLED = 2000
OTHERS, TAKEN, OWN, MISSED, TOTAL, NAMED, DIVIDED = range(7)


class Turn(Protocol):
    """Seconds of a conversation in which ``name`` speaks."""

    @property
    def start(self) -> float: ...

    @property
    def end(self) -> float: ...

    @property
    def name(self) -> str: ...


class Tally:
    """Seconds, conversation by conversation: of others and how many of them were labelled user; of the user, and how
    many were not; all, those with the right name ("unknown" is right for strangers), and those whose label is that of
    their speaker."""

    def __init__(self) -> None:
        self._talks: list[list[float]] = []

    def add(self, turns: Sequence[Turn], labels: Sequence[str], names: Sequence[str], who: Mapping[str, str]) -> None:
        """``labels``: voice of each turn; ``names``: "user", a person's id or "" for each; ``who``: speaker to name."""
        talk = [0.0] * 7
        held: dict[tuple[str, str], float] = {}
        for turn, label, name in zip(turns, labels, names, strict=True):
            seconds, right = turn.end - turn.start, who.get(turn.name, "")
            talk[TOTAL] += seconds
            talk[NAMED] += seconds * (name == right)
            talk[OWN if right == "user" else OTHERS] += seconds
            if right == "user":
                talk[MISSED] += seconds * (name != "user")
            else:
                talk[TAKEN] += seconds * (name == "user")
            held[label, turn.name] = held.get((label, turn.name), 0.0) + seconds
        talk[DIVIDED] = assigned(held)
        self._talks.append(talk)

    @property
    def others(self) -> float:
        return self._sum(OTHERS)

    @property
    def taken(self) -> float:
        return self._sum(TAKEN)

    @property
    def missed(self) -> float:
        return self._sum(MISSED)

    @property
    def total(self) -> float:
        return self._sum(TOTAL)

    @property
    def named(self) -> float:
        return self._sum(NAMED)

    @property
    def divided(self) -> float:
        return self._sum(DIVIDED)

    def cells(self) -> list[str]:
        """The table's: others as user, user missed, right name, right voice."""
        return [
            self._share(TAKEN, OTHERS, counted=True), self._share(MISSED, OWN, counted=True),
            self._share(NAMED, TOTAL), self._share(DIVIDED, TOTAL),
        ]  # fmt: skip

    def _sum(self, column: int) -> float:
        return float(sum(talk[column] for talk in self._talks))

    def _share(self, part: int, whole: int, *, counted: bool = False) -> str:
        rows = np.array([(talk[part], talk[whole]) for talk in self._talks if talk[whole]])
        happened, seconds = int((rows[:, 0] > 0).sum()), rows[:, 1].sum()
        if not happened:
            return f"none of {seconds:,.0f} s; in under {3 / len(rows):.1%} of talks"
        low, high = _interval(rows)
        share = f"{rows[:, 0].sum() / seconds:.2%} ({low:.2%} to {high:.2%})"
        return f"{share}; {rows[:, 0].sum():,.0f} s in {happened} of {len(rows)} talks" if counted else share


def _interval(rows: NDArray[np.float64]) -> tuple[float, float]:
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), RESAMPLED)
    shares = (drawn @ rows[:, 0]) / np.maximum(drawn @ rows[:, 1], 1e-9)
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def assigned(held: Mapping[tuple[str, str], float]) -> float:
    """Seconds under the best pairing of labels and speakers."""
    labels = sorted({label for label, _ in held})
    names = sorted({name for _, name in held})
    seconds = np.array([[held.get((label, name), 0.0) for name in names] for label in labels])
    rows, columns = linear_sum_assignment(-seconds)
    return float(seconds[rows, columns].sum())


def table(tallies: Mapping[str, Tally]) -> str:
    """A Markdown table, as docs/speakers.md has it."""
    head = ("| | others' seconds as user | user's seconds missed | right name | right voice |", "|" + " --- |" * 5)
    return "\n".join([*head, *(f"| {title} | {' | '.join(tally.cells())} |" for title, tally in tallies.items())])
