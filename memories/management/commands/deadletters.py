"""``manage.py deadletters``: runs that were given up, and trying them again."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand, CommandParser

from memories.pipeline import messages, selectors, service


class Command(BaseCommand):
    help = "List dead letters; with --retry start a new run for each."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--retry", action="store_true", help="start a new run for each that is listed")
        parser.add_argument("--run", type=int, action="append", metavar="ID", help="only this run (may be repeated)")
        parser.add_argument("--limit", type=int, default=100)
        parser.add_argument("--reason", default="", help="why (kept with the new run; required with --retry)")
        parser.add_argument("--actor", default="manage.py", help="who asks")

    def handle(self, **options: Any) -> None:
        runs = selectors.dead_letters()
        if options["run"]:
            runs = runs.filter(pk__in=options["run"])
        if options["retry"] and not options["reason"]:
            self.stderr.write("--retry needs --reason")
            raise SystemExit(2)
        count = 0
        for run in runs[: options["limit"]]:
            count += 1
            line = (
                f"run {run.pk}  {run.kind}  {run.uid}/{run.memory_id}  step {run.current_step}  "
                f"{messages.get(run.message_id).header}  {run.detail}  {run.finished_at:%Y-%m-%d %H:%M}"
            )
            if options["retry"]:
                again = service.retry(run, actor=options["actor"], reason=options["reason"])
                line += f"  -> run {again.pk}"
            self.stdout.write(line)
        self.stdout.write(f"{count} dead letters")
