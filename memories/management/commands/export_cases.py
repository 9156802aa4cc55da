"""``manage.py export_cases FOLDER``: shared cases as a dataset of ``manage.py evaluate``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from memories.feedback import cases
from memories.feedback.models import Part


class Command(BaseCommand):
    help = "Write the cases that users shared as an evaluation dataset; names are masked (docs/improvement.md)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--since", help="only cases since this day (YYYY-MM-DD)")
        parser.add_argument("--part", choices=[part.value for part in Part], default="")

    def handle(self, **options: Any) -> None:
        try:
            since = datetime.fromisoformat(options["since"]).replace(tzinfo=UTC) if options["since"] else None
        except ValueError as error:
            raise CommandError("--since is a day: YYYY-MM-DD.") from error
        folder: Path = options["folder"]
        if folder.exists() and any(folder.iterdir()):
            raise CommandError(f"{folder} is not empty.")
        counts = cases.export(folder, since=since, part=options["part"])
        left = ", ".join(f"{count} {why}" for why, count in counts.items() if why != "written" and count)
        self.stdout.write(f"{counts['written']} cases are in {folder}{f'; left out: {left}' if left else ''}.")
        self.stdout.write(f"manage.py evaluate {folder} says how many of them are right now.")
