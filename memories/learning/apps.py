"""The Django app of the learners: it installs their schedules."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class LearningConfig(AppConfig):
    name = "memories.learning"
    label = "learning"
    verbose_name = "Learning"

    def ready(self) -> None:
        from memories.learning import upkeep

        post_migrate.connect(upkeep.ensure_schedules, sender=self)
