"""``manage.py learn``: what corrections and figures teach; with ``--dry-run`` what would change and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from memories.experiments.models import TunedValue
from memories.learning import running, vendors


class Command(BaseCommand):
    help = "Learn from corrections and measured figures, each with its record (docs/improvement.md)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would change and why; change nothing")
        parser.add_argument("--only", default="", choices=["", *(learner.name for learner in running.LEARNERS)])
        parser.add_argument("--uid", default="", help="only for this user (and for everybody)")
        parser.add_argument("--figures", type=Path, help="take the JSON of manage.py evaluate --providers … --json")
        parser.add_argument("--kind", choices=["prerecorded", "live"], default="prerecorded", help="of --figures")
        parser.add_argument("--language", default="", help="of --figures: the language of its items")
        parser.add_argument("--rollback", type=int, metavar="ID", help="take one learned value back")
        parser.add_argument("--reason", default="", help="of --rollback")

    def handle(self, **options: Any) -> None:
        if options["figures"]:
            try:
                count = vendors.take(options["figures"], kind=options["kind"], language=options["language"])
            except vendors.BadFigures as error:
                raise CommandError(f"{error}.") from error
            self.stdout.write(f"{count} figures were taken.")
            return
        if options["rollback"]:
            self._roll_back(options)
            return
        told = running.learn(dry_run=options["dry_run"], only=options["only"], uid=options["uid"])
        for outcome in told:
            self.stdout.write(outcome.line)
        self.stdout.write(f"{len(told)} proposals{', nothing was changed' if options['dry_run'] else ''}.")

    def _roll_back(self, options: dict[str, Any]) -> None:
        if not options["reason"]:
            raise CommandError("--reason is required: it is kept in the record.")
        rows = TunedValue.objects.filter(pk=options["rollback"], state=TunedValue.State.APPLIED)
        row = rows.filter(origin__startswith="learner:").first()
        if row is None:
            raise CommandError("No learned value with this id is in force.")
        running.roll_back(row, actor="manage.py", reason=options["reason"])
        self.stdout.write(f"{row.name} of {row.uid or 'everybody'} was taken back.")
