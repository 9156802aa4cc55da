"""The measurement of one variant of the product: every item is run, held against the truth, and searched for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from memories.evaluation import product
from memories.evaluation.dataset import Dataset, Item
from memories.evaluation.heard import MadeMemory
from memories.evaluation.judge import Judged, judge
from memories.evaluation.ranking import DEPTH, ranking_parts
from memories.evaluation.structure import structure_parts
from memories.evaluation.voices import voice_parts
from memories.evaluation.words import Parts, Piece, alignment, word_parts
from omi.core import workspace
from omi.core.errors import ProviderError

log = structlog.get_logger(__name__)

QUESTION: Final = "question: "
"""Before a question's text: its parts stand beside those of the items, and are resampled with them."""


@dataclass(slots=True)
class Measured:
    """One item: what came of it, its parts of every figure, and how its words lie against the reference."""

    heard: MadeMemory
    parts: Parts
    pieces: list[Piece] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Measurement:
    """A variant of the product on a dataset: items and questions by name."""

    items: dict[str, Measured] = field(default_factory=dict)
    questions: dict[str, Parts] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, Parts]:
        return {name: item.parts for name, item in self.items.items()} | self.questions


def measure(
    dataset: Dataset,
    *,
    nudge: int = 0,
    judged: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Measurement:
    """Run every item of ``dataset`` in this process and its stores. ``judged``: a model grades the summaries, too.
    ``tell`` is given a line as each item is done."""
    made = Measurement()
    for number, item in enumerate(dataset.items, 1):
        with workspace.temporary("evaluation-") as folder:
            heard = product.heard_of(item, Path(folder), nudge=nudge)
        made.items[item.name] = measured(item, heard, judged=judged)
        tell(f"{number}/{len(dataset.items)} {item.name}{f': {heard.failure}' if heard.failure else ''}")
    if dataset.questions:
        made.questions = _searched(dataset, made)
    return made


def measured(item: Item, heard: MadeMemory, *, judged: bool = False) -> Measured:
    """What ``heard`` is worth, held against what is true of ``item``."""
    parts: Parts = {"failed": (float(bool(heard.failure)), 1.0)}
    parts |= word_parts(item, heard) | structure_parts(item, heard)
    if not heard.failure:
        parts |= voice_parts(item, heard)
        if item.audio is not None:
            parts["latency"] = (heard.latency, heard.seconds / 60)
            parts["cost"] = (heard.cost, heard.seconds / 3600)
    found = Measured(heard, parts, alignment(item, heard))
    verdict = _judged(item, heard) if judged else None
    if verdict is not None:
        found.parts |= verdict.parts
        found.faults = verdict.faults
    return found


def _judged(item: Item, heard: MadeMemory) -> Judged | None:
    if heard.structured is None or not heard.structured.title:
        return None
    try:
        return judge(item.reference or heard.text, heard.structured)
    except ProviderError as error:  # an opinion that is missing leaves all other figures as they are
        log.warning("judge_failed", item=item.name, code=error.code, reason=error.message)
        return None


def _searched(dataset: Dataset, made: Measurement) -> dict[str, Parts]:
    """The parts of every question, asked of the product's search among the memories of all items."""
    names = {}
    for item in dataset.items:
        heard = made.items[item.name].heard
        if not heard.failure and (item.audio is None or heard.words):
            names[product.memorise(item, heard)] = item.name
    return {
        f"{QUESTION}{question.question}": ranking_parts(
            [names[memory] for memory in product.found_for(question.question, DEPTH) if memory in names],
            question.items,
        )
        for question in dataset.questions
    }
