"""The Django app of the recaps: rows that say which period has one."""

from __future__ import annotations

from django.apps import AppConfig


class RecapsConfig(AppConfig):
    name = "memories.recaps"
    label = "recaps"
    verbose_name = "Recaps"

    def ready(self) -> None:
        from memories.recaps import metrics

        metrics.register()
