"""Declaring an experiment: everything that is judged by is said before it starts, and cannot be changed afterwards."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from memories.experiments.models import Experiment
from memories.experiments.tunables import TUNABLES, BadValue, checked, effective

METRICS = ("thumb", "corrected", "accepted", "failed", "slow", "cost", "preferred")
"""Each 0..1 for a memory. ``slow`` and ``cost`` are shares of ``shadow.SLOWEST`` and ``DEAREST``; ``preferred`` is of
blind ratings."""
WANTED_LOW = frozenset({"corrected", "failed", "slow", "cost"})


class Guardrail(BaseModel):
    """A bound on the mean of a metric. A variant is stopped once it is shown to be over ``most`` or under ``least``."""

    model_config = ConfigDict(extra="forbid")

    metric: Literal["thumb", "corrected", "accepted", "failed", "slow", "cost", "preferred"]
    most: float | None = Field(default=None, ge=0, le=1)
    least: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _one(self) -> Guardrail:
        if (self.most is None) == (self.least is None):
            raise ValueError("a guardrail has either most or least")
        return self


class Declaration(BaseModel):
    """An experiment as it is declared in code, a file or the console."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,58}$")
    hypothesis: str = Field(min_length=10, max_length=1000)
    tunable: str
    variants: dict[str, Any] = Field(min_length=2, max_length=6)
    control: str
    mode: Literal["assign", "shadow"] = "assign"
    share: float = Field(default=1.0, gt=0, le=1)
    metric: Literal["thumb", "corrected", "accepted", "failed", "slow", "cost", "preferred"] = "corrected"
    guardrails: list[Guardrail] = Field(default_factory=list, max_length=8)
    planned: int = Field(ge=20, le=1_000_000)
    alpha: float = Field(default=0.05, gt=0, le=0.2)
    per_user: int = Field(default=3, ge=1, le=100)
    daily_cost: float = Field(default=1.0, ge=0, le=1000)

    @model_validator(mode="after")
    def _possible(self) -> Declaration:
        if self.control not in self.variants:
            raise ValueError("the control is one of the variants")
        if any(not name or len(name) > 40 for name in self.variants):
            raise ValueError("a variant's name has 1 to 40 characters")
        for value in self.variants.values():
            (checked if self.mode == "shadow" else effective)(self.tunable, value)
        if TUNABLES[self.tunable].learned_only:
            raise ValueError(f"{self.tunable} is changed by learning alone")
        shadow = self.mode == "shadow"
        if shadow and not TUNABLES[self.tunable].shadow:
            raise ValueError(f"{self.tunable} cannot be tried in shadow mode")
        if (self.metric == "preferred") is not shadow:
            raise ValueError("shadow mode is judged by 'preferred', and nothing else is")
        return self


class Refused(Exception):
    """What was asked of an experiment is not possible; the sentence says why."""


def checked_declaration(given: dict[str, Any]) -> Declaration:
    """Return a declaration that was checked; raises Refused with the place and what is wrong there."""
    try:
        return Declaration.model_validate(given)
    except (ValidationError, BadValue) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"{where}: {first['msg']}".removeprefix(": ").replace("Value error, ", "")) from error


def declare(given: Declaration | dict[str, Any]) -> Experiment:
    """Store a declaration as a draft; the same declaration again is the same experiment.

    Raises Refused where it is not possible, or another experiment has the name.
    """
    said = given if isinstance(given, Declaration) else checked_declaration(given)
    fields = said.model_dump(mode="json")
    made, new = Experiment.objects.get_or_create(name=said.name, defaults=fields)
    if not new and any(getattr(made, name) != value for name, value in fields.items()):
        raise Refused(f"there is another experiment {said.name!r}; one that was declared is not changed")
    return made
