"""Widen the calibration's cohort by the voices of users who agreed to it, without storing whose they are."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from omi.core.errors import ProviderError
from omi.core.providers import one
from speakers import cohort


class Command(BaseCommand):
    help = (
        "Add the own voices of these users to the cohort against which every voice is compared; it replaces the last."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("uid", nargs="*", help="a user who agreed that their voice helps to tell others apart")
        parser.add_argument("--remove", action="store_true", help="erase this deployment's cohort")

    def handle(self, *args: Any, **options: Any) -> None:
        voices = one("voices")
        try:
            if options["remove"]:
                self.stdout.write("erased" if cohort.forget(voices) else "there is none")
                return
            count = cohort.build(options["uid"], voices)
        except cohort.TooFewVoices as error:
            raise CommandError(str(error)) from error
        except ProviderError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{count} voices of this deployment stand beside the shipped ones")
