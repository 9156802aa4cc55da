"""``manage.py restore FILE``: bring an installation back from an archive, without those who were erased since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from django.db import DatabaseError

from memories.backup import receipts, restoring
from memories.backup.archive import BackupError


class Command(BaseCommand):
    help = "Restore an archive of `manage.py backup` into an empty data folder. No server may run meanwhile."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--force", action="store_true", help="replace what is in the data folder")
        parser.add_argument(
            "--receipts", type=Path, metavar="FILE", help="of `manage.py backup --receipts`: these are erased again"
        )

    def handle(self, file: Path, **options: Any) -> None:
        try:
            given = receipts.read(options["receipts"]) if options["receipts"] else None
            here = self._receipts_here() if options["force"] else None
            manifest = restoring.put_back(file, force=options["force"])
        except BackupError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Restored: {len(manifest.parts)} files as of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC.")
        call_command("migrate", interactive=False, verbosity=0)
        for known in (given, here):
            if known is not None:
                self._erase_again(known.since(manifest.made_at))
        if given is None:
            self.stdout.write(
                "Whoever was erased after that moment is back unless --receipts named them: "
                "run `manage.py erase_user UID` for each."
            )
        for folder in restoring.replaced(Path(settings.OMI_DATA_DIR)):
            self.stdout.write(f"What was replaced could not be deleted, and holds personal data: {folder}")
        for sentence in manifest.elsewhere:
            self.stdout.write(f"Not restored: {sentence}")

    def _receipts_here(self) -> receipts.Receipts | None:
        """What the installation that is replaced remembers, where it can still be read."""
        try:
            return receipts.remembered()
        except DatabaseError:
            return None

    def _erase_again(self, since: receipts.Receipts) -> None:
        for one in since.users:
            self.stdout.write(f"After the backup, at {one.at:%Y-%m-%d %H:%M:%S} UTC, account {one.subject} was erased.")
        again = receipts.erase_again(since)
        self.stdout.write(
            f"{len(since.users)} accounts and {len(since.memories)} memories were erased after the backup; of these "
            f"{len(again.users)} and {again.memories} had come back and were erased again."
        )
        if again.open:
            self.stdout.write(f"{again.open} of these wait for a store that is out of reach; the worker goes on.")
