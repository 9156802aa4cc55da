"""``manage.py reprocess``: run a memory's processing again, from a step on; or show what that would do and cost."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from memories.pipeline import forecast, plans, selectors, service
from memories.pipeline.vocabulary import Kind
from memories.repository import memories as repository


class Command(BaseCommand):
    help = "Process memories again, following the latest run: unchanged steps before --from-step are reused."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("uid")
        parser.add_argument("memory_id", nargs="+")
        parser.add_argument("--kind", choices=[Kind.POSTPROCESS.value, Kind.REPROCESS.value])
        parser.add_argument("--from-step", help=f"one of {', '.join(plans.PLANS[Kind.POSTPROCESS])}")
        parser.add_argument("--reason", default="", help="why (required unless --dry-run)")
        parser.add_argument("--actor", default="manage.py")
        parser.add_argument("--dry-run", action="store_true", help="show what would run, be reused, and cost")

    def handle(self, **options: Any) -> None:
        if not options["dry_run"] and not options["reason"]:
            raise CommandError("--reason is required: it is kept with the run.")
        for memory_id in options["memory_id"]:
            self._one(options["uid"], memory_id, options)

    def _one(self, uid: str, memory_id: str, options: dict[str, Any]) -> None:
        try:
            repository.get_memory(uid, memory_id)
        except repository.MemoryNotFound:
            self.stderr.write(f"{memory_id}: no such memory")
            return
        before = selectors.latest_run(uid, memory_id, Kind.POSTPROCESS)
        kind = options["kind"] or (Kind.POSTPROCESS if before is not None and before.audio else Kind.REPROCESS)
        follows = selectors.latest_run(uid, memory_id, kind)
        try:
            plans.first_step(kind, options["from_step"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        if options["dry_run"]:
            for line in forecast.lines(kind, follows, options["from_step"]):
                self.stdout.write(f"{memory_id}: {line}")
            return
        run = service.start(
            kind, uid, memory_id, actor=options["actor"], reason=options["reason"], from_step=options["from_step"],
            follows=follows, options=dict(follows.options) if follows else {},
        )  # fmt: skip
        self.stdout.write(f"{memory_id}: run {run.pk} ({run.kind}, {'in line' if run.held else run.state})")
