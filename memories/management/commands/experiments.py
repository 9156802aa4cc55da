"""``manage.py experiments``: declare, start, look at, stop, promote and roll back experiments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from memories.experiments import analysis, deciding, declaring
from memories.experiments.models import DecisionRecord, Experiment
from memories.experiments.sequential import Interval

ACTIONS = ("list", "show", "declare", "start", "stop", "promote", "rollback")


class Command(BaseCommand):
    help = "Experiments (docs/improvement.md): list, show, declare FILE.json, start, stop, promote, rollback."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=ACTIONS)
        parser.add_argument("name", nargs="?", default="", help="the experiment; of declare: a JSON file")
        parser.add_argument("--variant", default="", help="of promote")
        parser.add_argument("--reason", default="", help="why (kept in the record; not of list, show and declare)")
        parser.add_argument("--actor", default="manage.py")

    def handle(self, **options: Any) -> None:
        action, name = options["action"], options["name"]
        if action == "list":
            for experiment in Experiment.objects.order_by("id"):
                self.stdout.write(f"{experiment.name}: {experiment.state}, {experiment.tunable}, {experiment.mode}")
            return
        if not name:
            raise CommandError(f"{action} needs a name.")
        try:
            self._do(action, name, options)
        except declaring.Refused as error:
            raise CommandError(f"{error}.") from error

    def _do(self, action: str, name: str, options: dict[str, Any]) -> None:
        if action == "declare":
            try:
                given = json.loads(Path(name).read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise CommandError(f"{name} is no JSON file ({type(error).__name__}).") from error
            made = declaring.declare(given)
            self.stdout.write(f"{made.name} is declared. manage.py experiments start {made.name} --reason …")
            return
        experiment = deciding.named(name)
        if action == "show":
            self._show(experiment)
            return
        if not options["reason"]:
            raise CommandError("--reason is required: it is kept in the record.")
        why = {"actor": options["actor"], "reason": options["reason"]}
        if action == "start":
            deciding.start(experiment, **why)
        elif action == "stop":
            deciding.stop(experiment, **why)
        elif action == "rollback":
            deciding.roll_back(experiment, **why)
        else:
            deciding.promote(experiment, options["variant"], **why)
        experiment.refresh_from_db()
        self.stdout.write(f"{experiment.name} is {experiment.state}.")

    def _show(self, experiment: Experiment) -> None:
        self.stdout.write(f"{experiment.name}: {experiment.state}. {experiment.hypothesis}")
        found = analysis.analyse(experiment)
        self.stdout.write(f"  judged by {experiment.metric}; exposed users: {found.counts}")
        for verdict in found.verdicts.values():
            self.stdout.write(f"  {verdict.variant}: {verdict.verdict}; {_told(verdict.own)}")
            if verdict.difference is not None:
                self.stdout.write(f"    against {experiment.control}: {_told(verdict.difference)}")
            for line in verdict.broken:
                self.stdout.write(f"    guardrail does not hold: {line}")
        for name, reason in experiment.stopped.items():
            self.stdout.write(f"  {name} was stopped: {reason}")
        for record in DecisionRecord.objects.filter(experiment=experiment).order_by("id"):
            self.stdout.write(
                f"  {record.at:%Y-%m-%d %H:%M} {record.action} {record.variant} by {record.actor}: {record.reason}"
            )


def _told(interval: Interval) -> str:
    return f"{interval.mean:+.3f} ({interval.low:+.3f} to {interval.high:+.3f}), n={interval.count}"
