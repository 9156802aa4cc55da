"""``manage.py retention --report``: what is kept for a time only, when it goes, and why it is still here."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from memories import retained


class Command(BaseCommand):
    help = "Say what of audio, journals, results, runs, events and receipts goes when, and why it is still here."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--report", action="store_true", help="print it; schedules delete, this command never does")
        parser.add_argument("--json", action="store_true", help="one line of JSON per kind")

    def handle(self, **options: Any) -> None:
        if not options["report"]:
            raise CommandError("Say --report. What is over is deleted by schedules, not by this command.")
        for held in retained.report():
            if options["json"]:
                self.stdout.write(json.dumps(asdict(held)))
                continue
            count = f"more than {held.count}" if held.more else str(held.count)
            size = "" if held.size is None else f", {held.size / 2**20:.1f} MiB"
            self.stdout.write(f"{held.what}: {count}{size}. Goes {held.goes}. Here because: {held.why}.")
