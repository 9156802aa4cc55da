"""The Django app of the support console: it records failed runs, and installs its triggers and schedules."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ConsoleConfig(AppConfig):
    name = "memories.console"
    label = "console"
    verbose_name = "Console"

    def ready(self) -> None:
        from memories.console import failures, schedules, triggers
        from memories.pipeline.failed_runs import run_failed

        run_failed.connect(failures.on_run_failed, dispatch_uid="memories.console.failures")
        post_migrate.connect(triggers.install, sender=self)
        post_migrate.connect(schedules.ensure, sender=self)
