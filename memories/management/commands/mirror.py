"""``manage.py mirror``: list what differs between the stores, or make rows and vectors again from the documents."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from memories.mirror import compare


class Command(BaseCommand):
    help = "Compare documents, vectors, audio objects and rows (--check), or repair from the documents (--rebuild)."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--check", action="store_true", help="list every difference; exit status 1 if there is one")
        what.add_argument("--rebuild", action="store_true", help="repair; goes on where a stopped rebuild was")
        what.add_argument("--sample", type=int, metavar="N", help="compare N memories by chance (for a schedule)")
        parser.add_argument("--uid", help="only this user")
        parser.add_argument("--json", action="store_true", help="one line of JSON per difference")

    def handle(self, **options: Any) -> None:
        if options["sample"]:
            found = compare.check_sample(options["sample"])
            self._tell(found, options["json"])
            return
        uids = [options["uid"]] if options["uid"] else compare.users()
        with Progress(console=Console(stderr=True), disable=not self.stderr.isatty()) as bar:
            task = bar.add_task("users", total=len(uids))
            if options["rebuild"]:
                if options["uid"]:
                    repaired = compare.rebuild_user(options["uid"])
                else:
                    repaired = compare.rebuild(uids, progress=lambda uid: bar.advance(task))
                    repaired += sum(map(compare.repair, list(compare.check_strays())))
                self.stdout.write(f"{repaired} repaired")
                return
            differences = []
            for uid in uids:
                differences += list(compare.check_user(uid))
                bar.advance(task)
            if not options["uid"]:
                differences += list(compare.check_strays())
        self._tell(differences, options["json"])
        if differences:
            raise CommandError(
                f"{len(differences)} differences; `manage.py mirror --rebuild` repairs them", returncode=1
            )

    def _tell(self, differences: list[compare.Difference], as_json: bool) -> None:
        for item in differences:
            if as_json:
                self.stdout.write(json.dumps(asdict(item)))
            else:
                self.stdout.write(f"{item.kind:20} {item.store:20} {item.uid} {item.identity} {item.detail}".rstrip())
        counts = Counter(item.kind for item in differences)
        if not as_json:
            self.stdout.write(
                ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items())) or "no differences"
            )
