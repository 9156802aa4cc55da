"""Find a person (or everybody known) in the unknown voices of a user's older memories."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from omi.core.errors import ProviderError
from speakers import people, retroactive
from speakers.models import USER
from speakers.policy import CANDIDATE_USER


class Command(BaseCommand):
    help = "Listen again to unknown voices of memories whose recording is kept, and name those that are known by now."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("uid")
        parser.add_argument("--person", help="only this person's id; 'user' for the user's own voice")
        parser.add_argument("--memory", help="only this memory")
        parser.add_argument("--dry-run", action="store_true", help="report, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        person = options["person"]
        wanted = USER if person == CANDIDATE_USER else person
        counts: dict[str, int] = {}
        try:
            names = {**people.names(options["uid"]), CANDIDATE_USER: "the user"}
            for found in retroactive.find(
                options["uid"], wanted, memory_id=options["memory"], store=not options["dry_run"]
            ):
                counts[found.state] = counts.get(found.state, 0) + 1
                who = names.get(found.candidate, "")
                if found.state == "found":
                    self.stdout.write(f"{found.memory_id} {found.voice}: {who} ({found.probability:.0%})")
                elif who:
                    self.stdout.write(f"{found.memory_id} {found.voice}: perhaps {who} ({found.probability:.0%})")
        except people.PersonNotFound as error:
            raise CommandError(f"no such person: {person}") from error
        except ProviderError as error:
            raise CommandError(error.message) from error
        summary = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(counts.items()))
        self.stdout.write(summary or "no unknown voices")
