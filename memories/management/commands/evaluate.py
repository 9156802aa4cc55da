"""``manage.py evaluate`` measures the product on a dataset: table, JSON, HTML report, comparison, gate."""

from __future__ import annotations

from argparse import SUPPRESS
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from memories.evaluation import cases, gate, page, report
from memories.evaluation.dataset import DatasetError
from memories.evaluation.figures import figures_of
from memories.evaluation.isolation import Failed, Variant, measure_into, measured_apart
from memories.evaluation.measure import Measurement
from memories.evaluation.readers import load
from memories.evaluation.wording import MissingLibrary
from omi.core import workspace
from omi.settings_providers import PRERECORDED_VENDORS


class Command(BaseCommand):
    help = "Measure the product on a dataset (docs/evaluation.md). Nothing of it enters this installation's stores."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset", type=Path, help="a folder, or the zip of a user's export")
        parser.add_argument("--providers", default="", help="pre-recorded vendors to compare, with commas between them")
        parser.add_argument(
            "--variant",
            nargs="+",
            action="append",
            default=[],
            metavar=("NAME", "SETTING=VALUE"),
            help="a name, and settings in which this variant differs; may be given several times",
        )
        parser.add_argument("--compare", type=Path, metavar="BASELINE.json", help="an earlier evaluation's --json")
        parser.add_argument("--json", type=Path, metavar="FILE", help="write all results, for --compare later")
        parser.add_argument("--html", type=Path, metavar="FILE", help="write a report that needs no network")
        parser.add_argument("--only", default="*", metavar="PATTERN", help="items whose names match")
        parser.add_argument("--gate", type=Path, metavar="BOUNDS.json", help="fail where a bound does not hold")
        parser.add_argument("--write-bounds", type=Path, metavar="BOUNDS.json", help="measure bounds, by --runs runs")
        parser.add_argument("--runs", type=int, default=5, help="runs of --write-bounds (default 5)")
        parser.add_argument("--measure-into", type=Path, help=SUPPRESS)  # the child process of isolation.py
        parser.add_argument("--nudge", type=int, default=0, help=SUPPRESS)
        judge = parser.add_mutually_exclusive_group()
        judge.add_argument("--judge", dest="judged", action="store_true", default=None, help="a model grades summaries")
        judge.add_argument("--no-judge", dest="judged", action="store_false", help="none does, also where one is set")

    def handle(self, **options: Any) -> None:
        if options["measure_into"]:
            self._child(options)
            return
        variants = _variants(options["providers"], options["variant"])
        with workspace.temporary("evaluate-") as name:
            try:
                self._run(options, variants, Path(name))
            except (DatasetError, Failed) as error:
                raise CommandError(str(error)) from error

    def _child(self, options: dict[str, Any]) -> None:
        asked = {name: options[name] for name in ("only", "nudge", "judged")}
        try:
            measure_into(options["measure_into"], options["dataset"], **asked, tell=self.stderr.write)
        except (DatasetError, Failed, MissingLibrary) as error:
            raise CommandError(str(error)) from error

    def _run(self, options: dict[str, Any], variants: list[Variant], folder: Path) -> None:
        dataset = load(options["dataset"], folder)  # what is wrong with it is told before anything is run
        if options["write_bounds"]:
            self._bounds(options, variants[0], folder)
            return
        wanted = cases.wanted_of(options["dataset"])
        baseline = report.baseline_of(options["compare"]) if options["compare"] else {}
        bounds = gate.read_bounds(options["gate"]) if options["gate"] else {}
        made = {variant.name: (variant, self._measured(options, variant, folder)) for variant in variants}
        whole = report.report_of(dataset.name, made, baseline, wanted)
        self.stdout.write(report.table(whole))
        if options["json"]:
            options["json"].write_text(report.as_json(whole), encoding="utf-8")
        if options["html"]:
            page.write(options["html"], whole, dataset)
        faults = [fault for name in made for fault in gate.passed_over(whole.figures(name), bounds)]
        if faults:
            raise CommandError("The gate does not hold:\n  " + "\n  ".join(faults))
        if bounds:
            self.stdout.write(f"The gate holds: {len(bounds)} bounds.")

    def _bounds(self, options: dict[str, Any], variant: Variant, folder: Path) -> None:
        runs = [self._measured(options, variant, folder, nudge=number) for number in range(options["runs"])]
        failed = [name for made in runs for name, item in made.items.items() if item.heard.failure]
        if failed:
            raise CommandError(f"No bounds are written: {', '.join(failed)} became no memory, which is no chance.")
        bounds = gate.bounds_of([figures_of(made.parts) for made in runs])
        gate.write_bounds(options["write_bounds"], bounds)
        self.stdout.write(f"{len(bounds)} bounds of {options['runs']} runs are in {options['write_bounds']}.")

    def _measured(self, options: dict[str, Any], variant: Variant, folder: Path, nudge: int = 0) -> Measurement:
        self.stderr.write(f"{variant.name}{f', run {nudge + 1}' if options['write_bounds'] else ''}:")
        where = folder / f"{variant.name}-{nudge}".replace("/", "_")
        dataset = options["dataset"].resolve()
        return measured_apart(dataset, variant, where, only=options["only"], nudge=nudge, judged=options["judged"])


def _variants(providers: str, given: list[list[str]]) -> list[Variant]:
    """The variants that were asked for; the installation as it is, where none were. Raises CommandError."""
    found = []
    for name in filter(None, (part.strip() for part in providers.split(","))):
        if name not in PRERECORDED_VENDORS:
            raise CommandError(f"There is no provider {name!r}; there are {', '.join(PRERECORDED_VENDORS)}.")
        found.append(Variant(name, {"OMI_PRERECORDED": name}))
    for name, *pairs in given:
        if not pairs or not all("=" in pair for pair in pairs):
            raise CommandError(f"--variant {name} must be followed by settings, each SETTING=VALUE.")
        found.append(Variant(name, dict(pair.split("=", 1) for pair in pairs)))
    names = [variant.name for variant in found]
    if len(set(names)) < len(names):
        raise CommandError("Two variants have one name.")
    return found or [Variant("current")]
