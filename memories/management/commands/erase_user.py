"""``manage.py erase_user UID``: remove a user from every store; ``--verify`` searches them all for what is left."""

from __future__ import annotations

import json
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from memories.privacy import erasure


class Command(BaseCommand):
    help = "Erase a user from documents, vectors, audio, voices, journals and rows, and prove it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("uid")
        parser.add_argument(
            "--verify", action="store_true", help="only search every store; exit status 1 if anything is left"
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, uid: str, **options: Any) -> None:
        if not options["verify"]:
            if not options["yes"] and input(f"Erase everything of {uid!r} for good? Type the uid: ") != uid:
                raise CommandError("not erased")
            receipt = erasure.erase_user(uid)
            self.stdout.write(json.dumps(receipt.model_dump(mode="json"), indent=2))
            if not receipt.complete:
                raise CommandError("some stores were out of reach; a schedule tries again", returncode=1)
        left = erasure.verify_user_erased(uid)
        if left:
            raise CommandError(f"still there: {json.dumps(left)}", returncode=1)
        self.stdout.write("nothing of this user is left in any store")
