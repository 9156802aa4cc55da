"""One run as it went: steps, attempts and vendor calls on a time axis, and what is chosen of them.

What is read is bounded, and so is the number of queries, whatever the run went through.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils import timezone

from memories.admin import moments
from memories.admin.badges import tone
from memories.pipeline.models import PostProcessingRun, RunEvent, RunStep, StepAttempt, VendorCall
from memories.pipeline.states import State, StepState
from memories.support.situation import Situation

ATTEMPTS: Final = 200
CALLS: Final = 200
EVENTS: Final = 100
"""Newest of a run that are shown."""
LEAST: Final = 0.25
"""Per cent of the axis that the shortest bar takes, so that it can be seen."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of the axis in per cent."""

    x: float
    width: float
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """One step: its attempts (or, where there are none, itself) above its vendor calls."""

    step: RunStep
    state: str
    url: str
    chosen: bool
    seconds: str
    remark: str
    bars: list[Bar]
    calls: list[Bar]


@dataclass(frozen=True, slots=True)
class Tick:
    """One mark of a trace's time axis: its place in per cent, its text, and how the text is anchored (SVG)."""

    x: float
    label: str
    anchor: str


@dataclass
class Trace:
    """One run as its page draws it. ``begin`` to ``end`` is the axis. ``step``: the chosen one; ``attempt`` and
    ``call``: of what is chosen in it."""

    run: PostProcessingRun
    begin: datetime
    end: datetime
    steps: list[RunStep]
    attempts: list[StepAttempt]
    calls: list[VendorCall]
    events: list[RunEvent]
    step: RunStep | None = None
    lines: list[Line] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    queued: Bar | None = None

    def attempts_of(self, step: RunStep) -> list[StepAttempt]:
        return [item for item in self.attempts if item.step_id == step.pk]

    def calls_of(self, step: RunStep) -> list[VendorCall]:
        return [item for item in self.calls if item.step == step.name]

    @property
    def last_trouble(self) -> StepAttempt | None:
        """The newest attempt that went wrong."""
        return next((item for item in reversed(self.attempts) if item.error_code or item.result != "done"), None)


def chosen_run(now: Situation, query: QueryDict) -> PostProcessingRun | None:
    """The run that the address names, where it is one of this memory; else the one that matters most."""
    wanted = query.get("run", "")
    named = next((run for run in now.runs if str(run.pk) == wanted), None)
    return named or now.active


def read(run: PostProcessingRun, query: QueryDict) -> Trace:
    """Read a run's steps, attempts, calls and events, with the bars of the axis and what the query chooses of them."""
    steps = list(run.steps.order_by("position").select_related("reused_from"))
    attempts = StepAttempt.objects.filter(step__run=run).order_by("-id")[:ATTEMPTS]
    calls = VendorCall.objects.filter(run=run).defer("answer").order_by("-id")[:CALLS]
    events = RunEvent.objects.filter(run=run).order_by("-id")[:EVENTS]
    end = run.finished_at or max(timezone.now(), run.created_at)
    made = Trace(
        run, run.created_at, end, steps, list(reversed(attempts)), list(reversed(calls)), list(reversed(events))
    )
    made.step = _chosen_step(made, query.get("step", ""))
    made.lines = [_line(made, step) for step in steps]
    made.ticks = _ticks(made)
    began = run.started_at or end
    if (began - run.created_at).total_seconds() > 0:
        made.queued = _bar(made, run.created_at, began, "queued", f"in the queue for {_between(run.created_at, began)}")
    return made


def address(run: PostProcessingRun, step: str = "") -> str:
    """The query string under which the run, or one step of it, is shown. It can be pasted."""
    return "?" + urlencode({"run": run.pk, **({"step": step} if step else {})})


def _chosen_step(made: Trace, wanted: str) -> RunStep | None:
    """The step that the address names; else the one that failed, or that is at work."""
    named = next((step for step in made.steps if step.name == wanted), None)
    if named is not None or wanted == "none":
        return named
    failed = next((step for step in made.steps if tone(step.state) == "bad" or tone(step.outcome) == "bad"), None)
    if failed is not None or made.run.state == State.FINISHED:
        return failed
    return next((step for step in made.steps if step.name == made.run.current_step), None)


def _line(made: Trace, step: RunStep) -> Line:
    attempts = made.attempts_of(step)
    bars = [
        _bar(
            made, item.started_at, item.finished_at, tone(item.outcome) if item.result != "retry" else "bad",
            f"attempt {item.number}: {item.outcome.replace('_', ' ')}, {moments.length(item.seconds)}"
            + (f", {item.vendor}" if item.vendor else "") + (f", {item.error_code}" if item.error_code else ""),
        )
        for item in attempts
    ]  # fmt: skip
    if not attempts and step.started_at is not None and step.reused_from_id is None:
        ended = step.finished_at or made.end
        bars = [_bar(made, step.started_at, ended, tone(step.outcome or "running"), _between(step.started_at, ended))]
    calls = [
        _bar(
            made, item.started_at, _end_of(made, item), f"call-{tone(item.outcome or 'pending')}",
            f"{item.vendor} {item.operation}: {item.outcome or 'no answer seen'}, {moments.length(item.latency)}"
            + (f", {item.cost:.4f} $" if item.cost else ""),
        )
        for item in made.calls_of(step)
    ]  # fmt: skip
    return Line(
        step=step, state=_state(made.run, step), url=address(made.run, step.name),
        chosen=made.step is not None and made.step.pk == step.pk,
        seconds="–" if step.reused_from_id or not step.attempts else moments.length(step.seconds),
        remark=_remark(step), bars=bars, calls=calls,
    )  # fmt: skip


def _state(run: PostProcessingRun, step: RunStep) -> str:
    if step.state == StepState.PENDING and run.state == State.FINISHED:
        return "not reached"
    if run.current_step == step.name and run.state == State.RUNNING and not step.ended:
        return "running"
    return step.outcome if step.outcome and step.state != StepState.SKIPPED else step.state


def _remark(step: RunStep) -> str:
    if step.reused_from is not None:
        return f"from run {step.reused_from.run_id}"
    return f"{step.attempts} attempts" if step.attempts > 1 else ""


def _end_of(made: Trace, call: VendorCall) -> datetime:
    return call.started_at + timedelta(seconds=call.latency) if call.latency is not None else made.end


def _bar(made: Trace, start: datetime, end: datetime, how: str, title: str) -> Bar:
    whole = max(0.001, (made.end - made.begin).total_seconds())
    x = min(100 - LEAST, max(0.0, 100 * (start - made.begin).total_seconds() / whole))
    width = max(LEAST, min(100 - x, 100 * (end - start).total_seconds() / whole))
    return Bar(round(x, 3), round(width, 3), how, title)


def _between(start: datetime, end: datetime) -> str:
    return moments.length((end - start).total_seconds())


_NICE: Final = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)


def _ticks(made: Trace) -> list[Tick]:
    """At most five beside zero, at round numbers."""
    whole = max(0.001, (made.end - made.begin).total_seconds())
    step = next((item for item in _NICE if whole / item <= 5), max(86400.0, whole / 5))
    count = int(whole / step)
    return [
        Tick(round(100 * index * step / whole, 3), _label(index * step), "start" if not index else "middle")
        for index in range(count + 1)
        if index * step <= 0.97 * whole
    ]


def _label(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} s"
    if seconds < 3600:
        return f"{seconds / 60:g} min"
    return f"{seconds / 3600:g} h" if seconds < 2 * 86400 else f"{seconds / 86400:g} d"
