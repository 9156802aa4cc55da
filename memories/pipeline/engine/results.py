"""What a step gives back, and what it may raise besides ``ProviderError``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omi.core.errors import Outcome, ProviderError


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a step that did its work. ``output`` is small JSON; ``artifacts`` are large JSON results by name;
    ``note`` is one safe sentence."""

    output: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome = Outcome.SUCCESS
    note: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Suspend the run and come back after ``seconds``. ``checkpoint`` replaces the step's.

    ``error``: a vendor's failure that is the reason; it is an attempt then.
    """

    seconds: float
    checkpoint: dict[str, Any]
    note: str = ""
    error: ProviderError | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """The result of a step that has nothing to do in this run, and why."""

    reason: str


class StepError(Exception):
    """The step cannot succeed. ``message_id`` is in the catalogue, which tells outcome and what to do.

    ``cause``: the vendor's last word, where it was a vendor whose failures the step has counted itself.
    """

    def __init__(self, message_id: str, detail: str = "", *, cause: ProviderError | None = None) -> None:
        super().__init__(f"{message_id}: {detail}" if detail else message_id)
        self.message_id = message_id
        self.detail = detail
        self.cause = cause


class AnswersLater(Exception):
    """A vendor was asked and has not answered yet: the run is suspended as ``wait`` says.

    ``call_id``: the pending call, if there is one.
    """

    def __init__(self, wait: Wait, call_id: int | None = None) -> None:
        super().__init__(wait.note)
        self.wait = wait
        self.call_id = call_id


class LeaseLost(Exception):
    """Another worker has the run now: whatever this one still wants to write is refused."""


class RunCanceled(Exception):
    """Somebody asked for the run to stop, or its memory is gone."""

    def __init__(self, message_id: str = "canceled") -> None:
        super().__init__(message_id)
        self.message_id = message_id
