"""The Django app of offline batches: rows that say what was sent and what became of it."""

from __future__ import annotations

from django.apps import AppConfig


class OfflineConfig(AppConfig):
    name = "memories.offline"
    label = "offline"
    verbose_name = "Offline batches"

    def ready(self) -> None:
        from memories.offline import metrics

        metrics.register()
