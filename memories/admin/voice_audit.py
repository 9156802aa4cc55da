"""What staff do in the gallery of voices is in the audit log: its pages lie below the console and do not know it."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.admin.models import LogEntry
from django.db.models.signals import post_save
from django.dispatch import receiver

from memories.console import audit
from speakers.models import VoiceSample

_REASON: Final = "Voice revealed. Reason: "
_ACTIONS: Final = {"listened": "play_voice", "accepted": "accept_voice", "removed": "remove_voice"}


@receiver(post_save, sender=LogEntry, dispatch_uid="voices into the audit log")
def record(instance: LogEntry, created: bool, raw: bool = False, **_: Any) -> None:
    """Copy an entry of the admin's history that is about a voice sample."""
    kind = instance.content_type
    if not created or raw or kind is None or not instance.object_id or kind.model_class() is not VoiceSample:
        return
    sample = VoiceSample.objects.filter(pk=instance.object_id).first()
    if sample is None:
        return
    said = instance.get_change_message()
    revealed = said.startswith(_REASON)
    action = "reveal_voice" if revealed else _ACTIONS.get(said, "change_voice")
    target = audit.Target("voice", f"{sample.uid}/{sample.person_id or 'user'}", sample.uid)
    reason = said.removeprefix(_REASON) if revealed else ""
    audit.record(f"staff:{instance.user.get_username()}", action, target, reason, {"sample": str(sample.pk)})
