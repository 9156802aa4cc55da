from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class PipelineConfig(AppConfig):
    name = "memories.pipeline"
    label = "pipeline"
    verbose_name = "Post-processing"

    def ready(self) -> None:
        from django_q.signals import post_execute_in_worker

        from memories.pipeline.models import triggers
        from memories.pipeline.operations import metrics, recycling, schedules

        post_migrate.connect(triggers.install, sender=self)
        post_migrate.connect(schedules.ensure, sender=self)
        post_execute_in_worker.connect(recycling.after_task, dispatch_uid="omi.recycling")
        metrics.register()
