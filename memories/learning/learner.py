"""What all learners have in common: a proposal with its evidence, judged on cases that it was not made from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from memories.experiments.models import TunedValue


@dataclass(frozen=True, slots=True)
class Proposal:
    """A value that a learner would put in force. ``before`` and ``after`` are its figure (0..1, more is better) on
    ``held_out`` cases with the value of now and the proposed one. ``uid`` "": for everybody."""

    learner: str
    name: str
    value: Any
    now: Any
    why: str
    before: float
    after: float
    held_out: int
    uid: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def better(self) -> bool:
        return self.after > self.before


class Learner(Protocol):
    """One thing that is learned. None of these raises for a user whose things are gone."""

    name: str
    for_one: bool
    """Whether it learns for one user from that user's own corrections; else for everybody, from shared cases alone."""

    def proposals(self, uid: str) -> Iterator[Proposal]:
        """What should be otherwise by now. ``uid`` "" for learners of everybody."""

    def apply(self, proposal: Proposal) -> None:
        """Put a proposal in force, where it is not a tunable's value that is asked for by name."""

    def take_back(self, row: TunedValue) -> None:
        """Undo what ``apply`` did with this value."""

    def harm(self, row: TunedValue) -> str:
        """Why the applied value does harm, by what happened since; "" where nothing shows it."""


@dataclass(frozen=True, slots=True)
class Point:
    """One judged case of a threshold: what was measured, and whether it should have passed. ``key`` decides on which
    side of the split it lies: everything of one memory on the same."""

    value: float
    passes: bool
    key: str


def halves(points: Sequence[Point]) -> tuple[list[Point], list[Point]]:
    """Divide the points into those to choose a threshold on and those held out, by the hash of their key."""
    kept: tuple[list[Point], list[Point]] = ([], [])
    for point in points:
        kept[hashlib.sha256(point.key.encode()).digest()[0] % 2].append(point)
    return kept


def loss(points: Sequence[Point], threshold: float, *, wrong: float = 1.0) -> float:
    """Faults with this threshold: what passes and should not counts ``wrong``, what should and does not counts 1."""
    return sum(
        wrong if point.value >= threshold and not point.passes else 1.0
        for point in points
        if (point.value >= threshold) != point.passes
    )


def share_right(points: Sequence[Point], threshold: float, *, wrong: float = 1.0) -> float:
    """1 without a fault, 0 where everything is one."""
    worst = sum(1.0 if point.passes else wrong for point in points)
    return 1.0 - loss(points, threshold, wrong=wrong) / worst if worst else 1.0


def best(points: Sequence[Point], grid: Sequence[float], now: float, *, wrong: float = 1.0) -> float:
    """The threshold of ``grid`` with the smallest loss; of several the one nearest to ``now``."""
    return min(grid, key=lambda threshold: (loss(points, threshold, wrong=wrong), abs(threshold - now)))


def threshold_proposal(
    points: Sequence[Point], grid: Sequence[float], now: float, *, learner: str, name: str, uid: str = "",
    least: int, wrong: float = 1.0, told: str, value: Callable[[float], Any] = lambda chosen: chosen,
) -> Iterator[Proposal]:  # fmt: skip
    """Yield at most one proposal: a better threshold, chosen on one half of the points and judged on the other one."""
    chosen_on, held_out = halves(points)
    if len(points) < least or not chosen_on or not held_out:
        return
    chosen = best(chosen_on, grid, now, wrong=wrong)
    if chosen == now:
        return
    yield Proposal(
        learner=learner, name=name, value=value(chosen), now=value(now), uid=uid,
        why=f"{told}: {len(points)} judged cases, {loss(points, now, wrong=wrong):g} faults at {now:g}, "
        f"{loss(points, chosen, wrong=wrong):g} at {chosen:g}",
        before=share_right(held_out, now, wrong=wrong), after=share_right(held_out, chosen, wrong=wrong),
        held_out=len(held_out), evidence={"points": len(points), "threshold": chosen},
    )  # fmt: skip


class ByName:
    """A learner whose value is asked for by name (``omi.core.tuned``): the record of it is what is in force."""

    def apply(self, proposal: Proposal) -> None:
        """Do nothing: the record of the value puts it in force."""

    def take_back(self, row: TunedValue) -> None:
        """Do nothing: the record of the value takes it out of force."""
