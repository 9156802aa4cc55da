"""``manage.py staffuser``: make sure that there is somebody who can log in to the admin."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "Create the staff user of a local installation with a random password, kept in OMI_DATA_DIR/staff.txt."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", default="staff")
        parser.add_argument("--reset", action="store_true", help="give the user a new password")

    def handle(self, *, username: str, reset: bool, **options: Any) -> None:
        user, created = get_user_model().objects.get_or_create(
            username=username, defaults={"is_staff": True, "is_superuser": True}
        )
        note = settings.OMI_DATA_DIR / "staff.txt"
        if not (created or reset or not note.exists()):
            return
        password = secrets.token_urlsafe(12)
        user.set_password(password)
        user.is_staff = user.is_superuser = True
        user.save()
        note.touch(mode=0o600)
        note.write_text(f"{username} {password}\n", encoding="utf-8")
        self.stdout.write(f"Staff login: {username} / {password} (kept in {note})")
