"""``manage.py reprocess``: run a memory's processing again, from a step on; or show what that would do and cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from memories.pipeline import queries, selection, service
from memories.pipeline.engine import plans
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.operations import dry_run
from memories.pipeline.states import Kind, State
from memories.registry import records
from memories.repository import memories as repository


class Command(BaseCommand):
    help = "Process memories again, following the latest run: unchanged steps before --from-step are reused."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("uid", nargs="?", default="")
        parser.add_argument("memory_id", nargs="*")
        parser.add_argument(
            "--made-with",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help=f"instead of ids: everything made with this ({', '.join(records.CONDITIONS)}); may be repeated",
        )
        parser.add_argument("--since", help="of --made-with: a day or moment (ISO 8601, UTC)")
        parser.add_argument("--until", help="of --made-with: before this moment")
        parser.add_argument("--limit", type=int, default=100, help="of --made-with: runs that are started now (100)")
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
        if options["made_with"]:
            self._made_with(options)
            return
        if not options["uid"] or not options["memory_id"]:
            raise CommandError("Name a user and memories, or --made-with and --since.")
        missing = [memory_id for memory_id in options["memory_id"] if not self._one(options["uid"], memory_id, options)]
        if missing:
            raise CommandError(f"{options['uid']} has no such memory: {', '.join(missing)}")

    def _made_with(self, options: dict[str, Any]) -> None:
        """Everything that was made with something: what it takes, or the first of it."""
        asked = _selection(options)
        try:
            for line in selection.lines(selection.forecast(asked)):
                self.stdout.write(line)
            if options["dry_run"]:
                self.stdout.write("Nothing is done or changed now.")
                return
            started = skipped = 0
            for item in selection.chosen(asked):
                if started >= options["limit"]:
                    break
                run = None if selection.why_not(item) else selection.start(
                    item, actor=options["actor"], reason=options["reason"]
                )  # fmt: skip
                started, skipped = started + (run is not None), skipped + (run is None)
        except records.UnknownCondition as error:
            raise CommandError(f"{error}.") from error
        self.stdout.write(f"{started} runs were started, {skipped} passed over. What is done leaves the selection.")

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
        state = "stands in line behind the run at work" if run.blocked else run.state
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


def _selection(options: dict[str, Any]) -> selection.Selection:
    pairs = [pair.partition("=") for pair in options["made_with"]]
    if not options["since"] or any(not equals for _, equals, _ in pairs):
        raise CommandError("--made-with is NAME=VALUE, and --since says from when on.")
    try:
        since, until = (_moment(options[name]) for name in ("since", "until"))
    except ValueError as error:
        raise CommandError(f"--since and --until are moments in ISO 8601: {error}.") from error
    assert since is not None
    return selection.Selection({name: value for name, _, value in pairs}, since, until)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
