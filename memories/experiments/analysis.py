"""What the observations of an experiment say by now, with intervals that hold at every look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from memories.experiments.declaring import WANTED_LOW, Guardrail
from memories.experiments.models import Experiment, Rating, ShadowResult
from memories.experiments.sequential import Interval, difference_interval, mean_interval, ratio_evidence

RATIO_ALPHA: Final = 0.001
"""How sure the watch on the groups' sizes is before it calls them wrong."""


@dataclass(slots=True)
class Verdict:
    """One variant against the control. ``difference`` is of the metric, in shadow mode of ``preferred`` minus one half.
    ``verdict``: better, worse, undecided (shown neither way), or no difference (the planned count is there).
    ``broken``: sentences of the guardrails that do not hold."""

    variant: str
    own: Interval
    difference: Interval | None
    verdict: str
    broken: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Analysis:
    """What an experiment shows so far. ``ratio``: the evidence against the intended sizes of the groups, over ``1 /
    RATIO_ALPHA`` they are wrong."""

    experiment: str
    verdicts: dict[str, Verdict]
    counts: dict[str, int]
    ratio: float

    @property
    def skewed(self) -> bool:
        return self.ratio > 1 / RATIO_ALPHA

    def figures(self) -> dict[str, Any]:
        """Return the analysis as JSON, for the record of a decision."""
        return asdict(self) | {"skewed": self.skewed}


def analyse(experiment: Experiment) -> Analysis:
    """Every variant against the control, and the guardrails. The confidence is shared out among the variants, so that
    the chance of any false word in the whole experiment is at most ``alpha``."""
    others = [name for name in experiment.variants if name != experiment.control]
    alpha = experiment.alpha / max(1, len(others))
    shadow = experiment.mode == Experiment.Mode.SHADOW
    series = shadow_series(experiment) if shadow else user_series(experiment)
    rows = experiment.exposures.values_list("variant", flat=True)
    counts = {name: sum(row == name for row in rows) for name in experiment.variants}
    verdicts = {
        name: _verdict(experiment, name, series, alpha, shadow=shadow)
        for name in others
        if name not in experiment.stopped
    }
    fair = shadow or bool(experiment.stopped)  # a stopped variant's users are not exposed any more
    ratio = 1.0 if fair else ratio_evidence(counts, dict.fromkeys(experiment.variants, 1.0))
    return Analysis(experiment.name, verdicts, counts, ratio)


Series = dict[tuple[str, str], list[float]]
"""Variant and metric to the values of its units, in the order in which they were complete."""


def user_series(experiment: Experiment) -> Series:
    """One value a user: the mean of the first ``per_user`` memories that have one. Users are independent of each other,
    memories of one user are not."""
    found: Series = defaultdict(list)
    open_units: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    rows = experiment.observations.order_by("id").values_list("uid", "variant", "values")
    for uid, variant, values in rows.iterator():
        for metric, value in values.items():
            unit = open_units[(uid, variant, metric)]
            unit.append(float(value))
            if len(unit) == experiment.per_user:
                found[(variant, metric)].append(sum(unit) / len(unit))
    return found


def shadow_series(experiment: Experiment) -> Series:
    """One value a memory: of the blind ratings of it, and of how the second provider did."""
    found: Series = defaultdict(list)
    results = ShadowResult.objects.filter(experiment=experiment).exclude(state=ShadowResult.State.WAITING)
    for variant, values in results.order_by("ended_at", "id").values_list("variant", "values").iterator():
        for metric, value in values.items():
            found[(variant, metric)].append(float(value))
    for variant, values_of in _rated(experiment):
        found[(variant, "preferred")].append(sum(values_of) / len(values_of))
    return found


def _rated(experiment: Experiment) -> Iterator[tuple[str, list[float]]]:
    """Variant and ratings of each rated result, in the order of the first rating."""
    rows = Rating.objects.filter(result__experiment=experiment).order_by("id")
    by_result: dict[int, tuple[str, list[float]]] = {}
    for result, variant, value in rows.values_list("result_id", "result__variant", "value"):
        by_result.setdefault(result, (variant, []))[1].append(value)
    yield from by_result.values()


def _verdict(experiment: Experiment, variant: str, series: Series, alpha: float, *, shadow: bool) -> Verdict:
    metric, planned = experiment.metric, experiment.planned
    own = mean_interval(series.get((variant, metric), []), alpha=alpha, planned=planned)
    if shadow:
        difference = Interval(own.mean - 0.5, own.low - 0.5, own.high - 0.5, own.count)
    else:
        base = series.get((experiment.control, metric), [])
        difference = difference_interval(base, series.get((variant, metric), []), alpha=alpha, planned=planned)
    sign = -1.0 if metric in WANTED_LOW else 1.0
    verdict = "undecided"
    if difference.low > 0 or difference.high < 0:
        verdict = "better" if sign * (difference.low if difference.low > 0 else difference.high) > 0 else "worse"
    elif difference.count >= planned:
        verdict = "no difference"
    return Verdict(variant, own, difference, verdict, list(_broken(experiment, variant, series, alpha)))


def _broken(experiment: Experiment, variant: str, series: Series, alpha: float) -> Iterator[str]:
    for given in experiment.guardrails:
        rail = Guardrail.model_validate(given)
        values: Sequence[float] = series.get((variant, rail.metric), [])
        if not values:
            continue
        shown = mean_interval(values, alpha=alpha, planned=experiment.planned)
        where = f"{rail.metric} is {shown.mean:.3f} ({shown.low:.3f} to {shown.high:.3f}, n={shown.count})"
        if rail.most is not None and shown.low > rail.most:
            yield f"{where}, at most {rail.most:g}"
        if rail.least is not None and shown.high < rail.least:
            yield f"{where}, at least {rail.least:g}"
