"""``manage.py doctor``: is everything there that this installation is set to use?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from omi.doctor import findings


class Command(BaseCommand):
    help = "Try each dependency in use and print the exact fix for what is wrong. Exits 1 if anything is."
    requires_system_checks: list[str] = []

    def handle(self, **options: Any) -> None:
        wrong = 0
        for finding in findings():
            if finding.ok:
                self.stdout.write(f"{self.style.SUCCESS('ok  ')} {finding.name}: {finding.detail}")
            else:
                wrong += 1
                self.stdout.write(f"{self.style.ERROR('FIX ')} {finding.name}: {finding.detail}")
                self.stdout.write(f"     {finding.fix}")
        if wrong:
            raise CommandError(f"{wrong} to fix.")
