"""The Django app of the insights: bounded rows of figures, one a voice and memory."""

from __future__ import annotations

from django.apps import AppConfig


class InsightsConfig(AppConfig):
    name = "memories.insights"
    label = "insights"
    verbose_name = "Insights"

    def ready(self) -> None:
        from memories.insights import figures
        from speakers.signals import person_changed

        person_changed.connect(figures.on_person_changed, dispatch_uid="memories.insights")
