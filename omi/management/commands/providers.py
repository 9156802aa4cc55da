"""``manage.py providers``: what stands behind each port."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from omi.core.errors import ProviderError
from transcription.engines.description import describe


class Command(BaseCommand):
    help = "Print the backends in use. Loads none of them."

    def handle(self, **options: Any) -> None:
        rows = []
        for port, configured in settings.PROVIDERS.items():
            entries = configured if isinstance(configured, list) else [configured]
            rows += [(port if index == 0 else "", entry["BACKEND"]) for index, entry in enumerate(entries)]
        rows += [
            ("audio", settings.STORAGES["audio"]["BACKEND"]),
            ("database", settings.DATABASES["default"]["ENGINE"]),
            ("cache", settings.CACHES["default"]["BACKEND"]),
            ("channel layer", settings.CHANNEL_LAYERS["default"]["BACKEND"]),
            ("identity", settings.OMI_AUTH),
            ("live mode", settings.OMI_LIVE_MODE),
        ]
        width = max(len(port) for port, _ in rows)
        for port, backend in rows:
            self.stdout.write(f"{port:<{width}}  {backend}")
        if "local" in {*settings.OMI_LIVE, *settings.OMI_PRERECORDED}:
            self.stdout.write(f"{'local speech':<{width}}  {self._speech()}")

    def _speech(self) -> str:
        try:
            return describe(Path(settings.OMI_SPEECH_MODEL) if settings.OMI_SPEECH_MODEL else None)
        except ProviderError as error:
            return error.message
