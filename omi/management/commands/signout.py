"""``manage.py signout UID``: end every sign-in of a user at once, as after a lost phone or a stolen token."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from omi.accounts import revocation
from omi.core.ids import is_id


class Command(BaseCommand):
    help = "Refuse every token of UID that was issued until now. The user can sign in again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("uid")
        parser.add_argument("--reason", default="by an operator", help="for the log")

    def handle(self, *, uid: str, reason: str, **options: Any) -> None:
        if not is_id(uid):
            raise CommandError(f"{uid!r} cannot be a user's id")
        revocation.sign_out(uid, reason=reason)
        self.stdout.write(f"Every sign-in of {uid} until now has ended.")
