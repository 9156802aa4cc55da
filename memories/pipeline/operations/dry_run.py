"""What a run would do, without doing it: which steps, what is reused, how long, what it may cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from django.db.models import Avg

from memories.pipeline import queries, runner
from memories.pipeline.engine import content_hash, lease, plans
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import RunCanceled, StepError
from memories.pipeline.models import PostProcessingRun, RunStep, VendorCall
from memories.pipeline.states import Kind, State, StepState
from memories.pipeline.vendor_calls import circuit_breaker
from omi.core import providers
from omi.core.errors import ProviderError
from omi.stores import audio

OPERATIONS: Final = {"transcribe": "transcribe", "structure": "structure", "index": "embed", "emotions": "emotions"}
"""Steps that may pay somebody, and what the ledger calls it."""

RECENT: Final = 200  # calls of this installation that an estimate rests on


@dataclass(slots=True)
class StepForecast:
    """What one step would do: ``seconds``, and ``cost`` in US dollars at list prices (None: nothing is known yet), of
    one step that runs. ``vendor``: who is paid for it, "" where it is done on this machine."""

    name: str
    runs: bool
    why: str
    seconds: float = 0.0
    cost: float | None = 0.0
    vendor: str = ""


@dataclass(slots=True)
class Forecast:
    """What a run would do, step by step. ``warnings``: why the run would not get far."""

    steps: list[StepForecast]
    warnings: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)

    @property
    def cost(self) -> float:
        return sum(step.cost or 0.0 for step in self.steps)

    @property
    def unknown(self) -> list[str]:
        return [step.name for step in self.steps if step.cost is None]


def forecast(
    uid: str, memory_id: str, kind: str, follows: PostProcessingRun | None, from_step: str | None, *,
    recording: str = "",
) -> Forecast:  # fmt: skip
    """Return the forecast of the run that ``service.start`` would begin now with the recording and options of
    ``follows``, or with the audio object ``recording``.

    Whether a step is reused is found as the runner finds it: by the hash of its inputs, as far as these are known
    before the steps in front of it have run. Raises ValueError for an unknown step.
    """
    plans.first_step(kind, from_step)
    ctx = _shadow(uid, memory_id, kind, follows, from_step, recording)
    made = Forecast([])
    known, unless = True, ""  # the outputs of all steps so far are those of earlier runs
    audio = float(follows.steps.filter(name="prepare_audio").values_list("output__seconds", flat=True).first() or 0.0) \
        if follows else 0.0  # fmt: skip
    usual = queries.step_seconds(audio or None)
    for name in ctx.run.plan:
        earlier, why = _reusable(ctx, name) if known or ctx.anew(name) else (None, "a step in front of it runs")
        if earlier is not None:
            ctx.steps[name] = earlier
            made.steps.append(StepForecast(name, runs=False, why=f"taken from run {earlier.run_id}{unless}"))
            continue
        if name == "prepare_audio" and kind == Kind.POSTPROCESS and not _stored(ctx.run.audio):
            made.warnings.append("the recording is no longer stored: the run would end with audio_missing")
        before = _of(follows, name)
        known = known and not ctx.anew(name) and before is not None and not getattr(runner.load(name), "REUSE", True)
        if known and before is not None:
            ctx.steps[name], unless = before, ", unless the voices come out otherwise"
        cost = _cost(ctx, name, audio) if name in OPERATIONS else 0.0
        if name in OPERATIONS and (away := _away(ctx, name)) and away not in made.warnings:
            made.warnings.append(away)
        vendor = (_vendor(ctx, name) or "") if name in OPERATIONS else ""
        made.steps.append(StepForecast(name, True, why, usual.get(name, 1.0), cost, vendor))
    return made


def _of(run: PostProcessingRun | None, name: str) -> RunStep | None:
    return run.steps.filter(name=name, state=StepState.DONE).first() if run is not None else None


def _shadow(
    uid: str, memory_id: str, kind: str, follows: PostProcessingRun | None, from_step: str | None, recording: str
) -> Context:
    """A context of a run that is never stored and holds no lease: good for reading only."""
    run = PostProcessingRun(
        uid=uid, memory_id=memory_id, kind=kind, options=dict(follows.options) if follows else {},
        plan=plans.plan_for(kind), from_step=from_step or "", follows=follows,
        audio=recording or (follows.audio if follows else ""),
    )  # fmt: skip
    steps = [RunStep(run=run, name=name, position=at) for at, name in enumerate(run.plan)]
    return Context(run, lease.Lease(0, "", 0, datetime.now(UTC), State.QUEUED), steps)


def _reusable(ctx: Context, name: str) -> tuple[RunStep | None, str]:
    """The result that the step would reuse, or why it would run."""
    module = runner.load(name)
    if ctx.anew(name):
        return None, "asked for"
    if not getattr(module, "REUSE", True):
        return None, "is done anew by every run"
    assert module is not None
    ctx.run.current_step = name
    try:
        digest = content_hash.of_step(name, module, ctx)
        earlier = runner.reusable(ctx, ctx.steps[name], digest)
    except (StepError, ProviderError, RunCanceled) as error:
        return None, f"its inputs cannot be read now ({error})"
    if earlier is not None:
        return earlier, ""
    before = RunStep.objects.filter(run__uid=ctx.uid, run__memory_id=ctx.memory_id, name=name, state=StepState.DONE)
    return None, "its inputs have changed since" if before.exists() else "no earlier run has done it"


def _stored(name: str) -> bool:
    try:
        audio.get(name)
    except LookupError:
        return False
    return True


def _cost(ctx: Context, name: str, audio: float) -> float | None:
    """US dollars: what this step cost this memory before, else on average here, else by the list price."""
    vendor = _vendor(ctx, name)
    if vendor is None:
        return 0.0  # nobody is paid: it is done on this machine, or was not asked for
    calls = VendorCall.objects.filter(operation=OPERATIONS[name], vendor=vendor, outcome="success", cost__gt=0)
    own = calls.filter(run__uid=ctx.uid, run__memory_id=ctx.memory_id).order_by("-id").first()
    if own is not None:
        return float(own.cost)
    if name == "transcribe" and audio:
        provider = next(item for item in providers.many("prerecorded") if item.name == vendor)
        return float(provider.capabilities.cost_per_minute * audio / 60)
    newest = calls.order_by("-id").values("pk")[:RECENT]
    mean = VendorCall.objects.filter(pk__in=list(newest.values_list("pk", flat=True))).aggregate(mean=Avg("cost"))
    return None if mean["mean"] is None else float(mean["mean"])


def _vendor(ctx: Context, name: str) -> str | None:
    """Who would be paid for the step, if anybody."""
    if name == "transcribe":
        able = [item for item in providers.many("prerecorded") if item.capabilities.hears(ctx.language)]
        return str(able[0].name) if able and able[0].capabilities.remote else None
    if name == "emotions" and not ctx.emotions_asked:
        return None
    provider = providers.one({"structure": "structurer", "index": "embedder", "emotions": "emotions"}[name])
    return str(provider.name) if provider.remote else None


def _away(ctx: Context, name: str) -> str:
    """What stands in the way of the step's vendor; "" where nothing does."""
    vendor = _vendor(ctx, name)
    again = circuit_breaker.closes_at(vendor) if vendor is not None else None
    if vendor is None or again is None:
        return ""
    way = f"the console's page of this vendor, or manage.py breakers --close {vendor}"
    return f"{vendor} is not called until {again:%H:%M:%S} UTC, unless its breaker is closed before ({way})"


def lines(made: Forecast, kind: str) -> list[str]:
    """Return a forecast for the terminal: one line per step, a sum, and what stands in the way."""
    width = max(len(step.name) for step in made.steps)
    written = []
    for step in made.steps:
        if not step.runs:
            written.append(f"{step.name:<{width}}  reused  {step.why}")
            continue
        price = "cost unknown" if step.cost is None else f"about {step.cost:.4f} $" if step.cost else "free"
        written.append(f"{step.name:<{width}}  runs    {step.why}; about {step.seconds:.1f} s, {price}")
    more = f" and what {', '.join(made.unknown)} costs, which nobody has paid here yet" if made.unknown else ""
    written.append(f"{'sum':<{width}}          about {made.seconds:.0f} s, {made.cost:.4f} ${more}")
    if kind == Kind.POSTPROCESS and any(step.name == "structure" and step.runs for step in made.steps):
        written.append("structure and index are skipped, and free, where the shown words turn out to be the same")
    return written + [f"WARNING: {warning}" for warning in made.warnings]
