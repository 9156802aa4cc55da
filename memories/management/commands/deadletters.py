"""``manage.py deadletters``: runs that were given up, and trying them again."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from memories.pipeline import failure_catalogue, queries, service


class Command(BaseCommand):
    help = "List dead letters; with --retry start a new run for each."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--retry", action="store_true", help="start a new run for each that is listed")
        parser.add_argument("--run", type=int, action="append", metavar="ID", help="only this run (may be repeated)")
        parser.add_argument("--limit", type=int, default=100)
        parser.add_argument("--reason", default="", help="why (kept with the new run; required with --retry)")
        parser.add_argument("--actor", default="manage.py", help="who asks")

    def handle(self, **options: Any) -> None:
        runs = queries.dead_letters()
        if options["run"]:
            runs = runs.filter(pk__in=options["run"])
        if options["retry"] and not options["reason"]:
            raise CommandError("--retry needs --reason: it is kept with the new run.")
        count, total = 0, runs.count()
        for run in runs[: options["limit"]]:
            count += 1
            message = failure_catalogue.get(run.message_id)
            where = run.current_step or "its beginning"
            line = (
                f"run {run.pk}  {run.kind}  {run.uid}/{run.memory_id}  given up in {where} after {run.total_claims} "
                f"workers, {run.finished_at:%Y-%m-%d %H:%M} UTC  {message.id} {run.detail}"
            )
            if options["retry"]:
                again = service.retry(run, actor=options["actor"], reason=options["reason"])
                line += f"  -> run {again.pk}"
            else:
                line += f"\n    {message.what_to_do}"
            self.stdout.write(line)
        more = max(0, total - count)
        self.stdout.write(f"{count} dead letters{f' ({more} more: --limit)' if more else ''}")
        if count and not options["retry"]:
            self.stdout.write("Look first: manage.py explain MEMORY_ID. Then: manage.py deadletters --retry --reason …")
