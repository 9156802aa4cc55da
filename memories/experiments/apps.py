"""The Django app of experiments: it serves the values that an experiment changes, and installs its schedules."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ExperimentsConfig(AppConfig):
    name = "memories.experiments"
    label = "experiments"
    verbose_name = "Experiments"

    def ready(self) -> None:
        from memories.experiments import assigning, upkeep
        from omi.core import tuned

        tuned.serve(assigning.source, assigning.variants_of)
        post_migrate.connect(upkeep.ensure_schedules, sender=self)
