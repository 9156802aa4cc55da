"""What an action of support is: why it may not work, what it would do, and the deed itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from memories.pipeline.operations.dry_run import Forecast
from memories.support.situation import Situation

Options = Mapping[str, str]
"""What the action's form gave, by field."""


@dataclass(slots=True)
class Preview:
    """What would happen, before it does. All texts are sentences for staff, without words of the user.

    ``worse``: what could be worse afterwards; ``undo``: how one gets back; ``impossible``: why it cannot be done, ""
    where it can.
    """

    does: list[str] = field(default_factory=list)
    worse: list[str] = field(default_factory=list)
    undo: str = ""
    forecast: Forecast | None = None
    impossible: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """One action of support. ``permission`` is one of ``memories.console.roles``. ``fields``: what its form asks for
    besides the reason. ``why_not``: why it cannot be done now, "" where it can. ``deed`` takes the fields as keyword
    arguments."""

    name: str
    verb: str
    explained: str
    permission: str
    why_not: Callable[[Situation], str]
    preview: Callable[[Situation, Options], Preview]
    deed: Callable[..., str]
    fields: tuple[str, ...] = ()
    grave: bool = False
    """Something is lost for good."""
