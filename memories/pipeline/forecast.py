"""What a run would do, without doing it: which steps, what is reused, how long, what it may cost."""

from __future__ import annotations

from django.db.models import Sum

from memories.pipeline import plans, selectors
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.pipeline.vocabulary import StepState


def lines(kind: str, follows: PostProcessingRun | None, from_step: str | None) -> list[str]:
    """One line per step and a sum. Costs are those of the followed run's calls (US dollars, list prices)."""
    usual = selectors.step_seconds()
    plan = plans.plan_for(kind)
    first = plan.index(plans.first_step(kind, from_step))
    done = {step.name for step in follows.steps.filter(state=StepState.DONE)} if follows else set()
    written, seconds, cost = [], 0.0, 0.0
    for position, name in enumerate(plan):
        if position < first and name in done and follows is not None:
            written.append(f"{name:<18} taken from run {follows.pk} if its inputs are unchanged")
            continue
        price = _cost(follows, name)
        seconds, cost = seconds + usual.get(name, 1.0), cost + price
        written.append(f"{name:<18} runs, about {usual.get(name, 1.0):.1f} s, {price:.4f} $")
    written.append(f"{'sum':<18} about {seconds:.1f} s, {cost:.4f} $")
    return written


def _cost(run: PostProcessingRun | None, step: str) -> float:
    if run is None:
        return 0.0
    return float(VendorCall.objects.filter(run=run, step=step).aggregate(total=Sum("cost"))["total"] or 0.0)
