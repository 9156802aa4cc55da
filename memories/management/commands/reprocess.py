"""``manage.py reprocess``: run a memory's processing again, from a step on; or show what that would do and cost."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from memories.pipeline import queries, service
from memories.pipeline.engine import plans
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.operations import dry_run
from memories.pipeline.states import Kind, State
from memories.repository import memories as repository


class Command(BaseCommand):
    help = "Process memories again, following the latest run: unchanged steps before --from-step are reused."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("uid")
        parser.add_argument("memory_id", nargs="+")
        parser.add_argument(
            "--kind",
            choices=[kind.value for kind in Kind],
            help="default: postprocess where there is a recording, else reprocess",
        )
        parser.add_argument(
            "--from-step", help=f"do this and what follows anew: {', '.join(plans.PLANS[Kind.POSTPROCESS])}"
        )
        parser.add_argument("--reason", default="", help="why (required unless --dry-run)")
        parser.add_argument("--actor", default="manage.py")
        parser.add_argument("--dry-run", action="store_true", help="show what would run, be reused, and cost")

    def handle(self, **options: Any) -> None:
        if not options["dry_run"] and not options["reason"]:
            raise CommandError("--reason is required: it is kept with the run.")
        missing = [memory_id for memory_id in options["memory_id"] if not self._one(options["uid"], memory_id, options)]
        if missing:
            raise CommandError(f"{options['uid']} has no such memory: {', '.join(missing)}")

    def _one(self, uid: str, memory_id: str, options: dict[str, Any]) -> bool:
        capture = options["kind"] == Kind.CAPTURE
        made = queries.latest_run(uid, memory_id, Kind.CAPTURE) if capture else None
        try:
            repository.get_memory(uid, memory_id)
        except repository.MemoryNotFound:
            if not capture:  # a capture that failed has no memory yet: it is what one wants to try again
                return False
        if capture and made is None:
            return False
        before = queries.latest_run(uid, memory_id, Kind.POSTPROCESS)
        kind = options["kind"] or (Kind.POSTPROCESS if before is not None and before.audio else Kind.REPROCESS)
        follows = queries.latest_run(uid, memory_id, kind)
        try:
            plans.first_step(kind, options["from_step"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        if options["dry_run"]:
            self._foretell(uid, memory_id, kind, follows, options["from_step"])
            return True
        if follows is not None and follows.state != State.FINISHED:
            raise CommandError(
                f"{memory_id}: run {follows.pk} is {follows.state} and has not ended; nothing was started. "
                f"See manage.py explain {memory_id}"
            )
        run = service.start(
            kind, uid, memory_id, actor=options["actor"], reason=options["reason"], from_step=options["from_step"],
            follows=follows, options=dict(follows.options) if follows else {},
        )  # fmt: skip
        state = "stands in line behind the run at work" if run.held else run.state
        self.stdout.write(
            f"{memory_id}: run {run.pk} ({run.kind}) {state}. How it goes on: manage.py explain {memory_id}"
        )
        return True

    def _foretell(
        self, uid: str, memory_id: str, kind: str, follows: PostProcessingRun | None, from_step: str | None
    ) -> None:
        after = f"follows run {follows.pk}, {follows.outcome or follows.state}" if follows else "follows no run"
        self.stdout.write(f"{memory_id}: a {kind} run ({after}). Nothing is done or changed now.")
        made = dry_run.forecast(uid, memory_id, kind, follows, from_step)
        if follows is not None and follows.state != State.FINISHED:
            made.warnings.append(f"run {follows.pk} is {follows.state}: nothing can be started before it has ended")
        for line in dry_run.lines(made, kind):
            self.stdout.write(f"  {line}")
