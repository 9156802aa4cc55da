"""The Django app of memories: it connects what follows a change of a person or a found voice, and the schedules."""

from __future__ import annotations

from django.apps import AppConfig


class MemoriesConfig(AppConfig):
    name = "memories"
    label = "memories"
    verbose_name = "Memories"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        from memories import upkeep, voice_labels
        from memories.backup import metrics as backup_metrics
        from memories.mirror import rows
        from memories.privacy import person_forgetting
        from memories.webhooks import metrics as webhook_metrics
        from speakers.signals import person_changed, voice_found

        person_changed.connect(rows.on_person_changed, dispatch_uid="memories.mirror.rows")
        # After the mirror's: what it remembers of a deleted person keeps late writers from naming them again.
        person_changed.connect(person_forgetting.on_person_changed, dispatch_uid="memories.privacy.person_forgetting")
        voice_found.connect(voice_labels.on_voice_found, dispatch_uid="memories.voice_labels")
        post_migrate.connect(upkeep.ensure_schedules, sender=self)
        webhook_metrics.register()
        backup_metrics.register()
