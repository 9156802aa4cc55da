"""The Django app of transcription: it registers its system checks, its metrics and the survey of journals."""

from __future__ import annotations

from django.apps import AppConfig


class TranscriptionConfig(AppConfig):
    name = "transcription"
    label = "transcription"
    verbose_name = "Transcription"

    def ready(self) -> None:
        from transcription import checks, metrics  # noqa: F401 (the checks register themselves)
        from transcription.journal import survey

        metrics.register()
        survey.register()
