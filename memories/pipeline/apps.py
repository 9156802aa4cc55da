"""The Django app of the pipeline."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class PipelineConfig(AppConfig):
    """Installs triggers, schedules, metrics and the admission gate of the queue when Django starts."""

    name = "memories.pipeline"
    label = "pipeline"
    verbose_name = "Post-processing"

    def ready(self) -> None:
        from django_q.signals import post_execute_in_worker

        from memories.pipeline.engine import queue
        from memories.pipeline.models import triggers
        from memories.pipeline.operations import metrics, recycling, schedules
        from omi.serving import admission

        post_migrate.connect(triggers.install, sender=self)
        post_migrate.connect(schedules.ensure, sender=self)
        post_execute_in_worker.connect(recycling.after_task, dispatch_uid="omi.recycling")
        metrics.register()
        said = "The server is far behind with its work; nothing new is taken."
        admission.register(admission.Gate("queue_too_old", said, queue.load))
