"""``manage.py devtoken UID``: a bearer token for local use, printed alone so that a script can take it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from omi.accounts.tokens import mint
from omi.accounts.users import update_user


class Command(BaseCommand):
    help = "Print a bearer token for UID. Works only with OMI_AUTH=dev."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("uid")
        parser.add_argument("--days", type=int, default=30)
        parser.add_argument("--name", help="the user's name, kept in the user's document")

    def handle(self, *, uid: str, days: int, name: str | None, **options: Any) -> None:
        if settings.OMI_AUTH != "dev":
            raise CommandError(
                f"OMI_AUTH is {settings.OMI_AUTH}: users bring their own tokens. Set OMI_AUTH=dev locally."
            )

        token = mint(uid, days=days)
        if name:
            update_user(uid, name=name)
        self.stdout.write(token)
