"""The Django app of speakers: it registers its system checks."""

from __future__ import annotations

from django.apps import AppConfig


class SpeakersConfig(AppConfig):
    """Registers the system checks of voices when Django starts."""

    name = "speakers"
    label = "speakers"
    verbose_name = "Speakers"

    def ready(self) -> None:
        from speakers import checks  # noqa: F401 (registers)
