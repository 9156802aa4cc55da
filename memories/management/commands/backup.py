"""``manage.py backup``: write the installation into one archive, while it runs; or only who was erased."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from memories.backup import making, metrics, receipts
from memories.backup.archive import BackupError, one_sentence


class Command(BaseCommand):
    help = "Write database, journals, audio, staff file and secret key into one archive. Servers may run meanwhile."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target", type=Path, metavar="FOLDER|FILE", help="a folder, or the name of the new file")
        parser.add_argument(
            "--receipts", action="store_true",
            help="write only digests and times of erasures, for `restore --receipts`; replaces an earlier FILE",
        )  # fmt: skip
        parser.add_argument(
            "--daily", action="store_true",
            help="for a timer that makes one each day: the alert BackupOld comes where the next one does not",
        )  # fmt: skip

    def handle(self, target: Path, **options: Any) -> None:
        try:
            if options["receipts"]:
                self._write_receipts(target)
                return
            made = making.take(target)
        except BackupError as error:
            raise CommandError(str(error)) from error
        metrics.note(metrics.TIMER if options["daily"] else metrics.HAND)
        size = made.file.stat().st_size
        self.stdout.write(f"{made.file}: {len(made.manifest.parts)} files, {size} bytes.")
        self.stdout.write("It holds personal data and secrets in the clear: keep it encrypted, on another machine.")
        for sentence in made.manifest.elsewhere:
            self.stdout.write(f"Not in it: {sentence}")

    def _write_receipts(self, target: Path) -> None:
        found = receipts.remembered()
        new = target.with_name(f".{target.name}.new")
        with one_sentence("The receipts were not written"):
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(found.model_dump_json(indent=1))
                file.flush()
                os.fsync(file.fileno())
            new.replace(target)
        self.stdout.write(f"{target}: {len(found.users)} erased users, {len(found.memories)} erased memories.")
