from __future__ import annotations

from django.apps import AppConfig


class MemoriesConfig(AppConfig):
    name = "memories"
    label = "memories"
    verbose_name = "Memories"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        from memories import mirror, upkeep
        from speakers.signals import person_changed

        person_changed.connect(mirror.on_person_changed, dispatch_uid="memories.mirror")
        post_migrate.connect(upkeep.ensure_schedules, sender=self)
