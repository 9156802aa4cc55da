"""``manage.py reconcile``: send again what was lost, take over what was left, give up what is hopeless."""

from __future__ import annotations

import json
import time
from typing import Any

from django.core.management import BaseCommand, CommandParser

from memories.pipeline import recovery, tasks


class Command(BaseCommand):
    help = "Send lost runs again, release expired leases, end dead letters, and notify ends that were not notified."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--loop", type=float, metavar="SECONDS", help="go on, every SECONDS (for a supervisor)")
        parser.add_argument("--json", action="store_true", help="one line of JSON per pass")

    def handle(self, **options: Any) -> None:
        while True:
            tasks.housekeeping()
            recovery.release_dead_workers()
            report = recovery.reconcile().as_dict()
            if options["json"]:
                self.stdout.write(json.dumps(report))
            else:
                self.stdout.write(
                    f"{report['resent']} runs sent again, {report['ended']} ended (manage.py deadletters), "
                    f"{report['admitted']} let in that were queued, {report['notified']} ends notified; "
                    f"oldest unfinished run: {report['oldest_seconds']:.0f} s old"
                )
            if not options["loop"]:
                return
            time.sleep(max(1.0, options["loop"]))
