from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ConsoleConfig(AppConfig):
    name = "memories.console"
    label = "console"
    verbose_name = "Console"

    def ready(self) -> None:
        from memories.console import triggers

        post_migrate.connect(triggers.install, sender=self)
