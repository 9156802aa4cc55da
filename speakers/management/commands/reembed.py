"""Embed every kept sample with the configured engine: after the engine changed, or to heal what is missing."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from omi.core.errors import ProviderError
from omi.core.providers import one
from speakers import gallery

BATCH = 50


class Command(BaseCommand):
    help = "Make the missing embeddings of the configured voice engine. Those of other engines stay: one can go back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--uid", help="only this user")
        parser.add_argument("--limit", type=int, default=10_000, help="at most this many samples")

    def handle(self, *args: Any, **options: Any) -> None:
        voices = one("voices")
        done = 0
        try:
            while done < options["limit"]:
                waiting = gallery.without_embedding(options["uid"], voices).exclude(
                    unreadable_by=gallery.engine_key(voices)
                )
                if not waiting.exists():  # each round embeds or marks what it takes
                    break
                done += gallery.heal(options["uid"], voices, limit=min(BATCH, options["limit"] - done))
                self.stdout.write(f"{done} embedded by {voices.name} {voices.version}")
        except ProviderError as error:
            raise CommandError(error.message) from error
        left = gallery.without_embedding(options["uid"], voices).count()
        self.stdout.write(f"{done} embedded, {left} left" + (" (their audio is gone or broken)" if left else ""))
