"""``manage.py retention --report``: what is kept for a time only, when it goes, and why it is still here; ``--months``:
what stays of vendors' calls, by month."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from memories import retained
from memories.pipeline.operations import months


class Command(BaseCommand):
    help = "Say what of audio, journals, results, runs, events and receipts goes when, and why it is still here."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--report", action="store_true", help="print it; schedules delete, this command never does")
        parser.add_argument("--months", action="store_true", help="print calls, audio and cost of vendors by month")
        parser.add_argument("--json", action="store_true", help="one line of JSON per kind, or month and vendor")

    def handle(self, **options: Any) -> None:
        if not options["report"] and not options["months"]:
            raise CommandError("Say --report or --months. What is over is deleted by schedules, not by this command.")
        if options["months"]:
            self._months(as_json=options["json"])
        for held in retained.report() if options["report"] else ():
            if options["json"]:
                self.stdout.write(json.dumps(asdict(held)))
                continue
            count = f"more than {held.count}" if held.more else str(held.count)
            size = "" if held.size is None else f", {held.size / 2**20:.1f} MiB"
            self.stdout.write(f"{held.what}: {count}{size}. Goes {held.goes}. Here because: {held.why}.")

    def _months(self, *, as_json: bool) -> None:
        for line in months.report():
            month = f"{line.month:%Y-%m}" if line.month is not None else "before"
            if as_json:
                self.stdout.write(json.dumps({**asdict(line), "month": month}))
            else:
                hours = f"{line.audio_seconds / 3600:.1f} h of audio"
                self.stdout.write(f"{month} {line.vendor}: {line.calls} calls, {hours}, {line.cost:.2f} $.")
