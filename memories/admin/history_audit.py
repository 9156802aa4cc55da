"""What staff do in the gallery of voices and with users' reports is in the audit log: these pages lie below the console
and do not know it, so that the entries of the admin's own history are copied."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.admin.models import LogEntry
from django.db.models.signals import post_save
from django.dispatch import receiver

from memories.console import audit
from memories.feedback.admin import READ_TEXT
from memories.feedback.models import Report
from speakers.models import VoiceSample

_REVEALED: Final = {VoiceSample: ("Voice revealed. Reason: ", "reveal_voice"), Report: (READ_TEXT, "reveal_feedback")}
"""How the history says that something was revealed, before the reason, and what the audit log calls it."""
_ACTIONS: Final = {"listened": "play_voice", "accepted": "accept_voice", "removed": "remove_voice",
                   "closed": "close_report"}  # fmt: skip


@receiver(post_save, sender=LogEntry, dispatch_uid="the admin's history into the audit log")
def record(instance: LogEntry, created: bool, raw: bool = False, **_: Any) -> None:
    """Copy an entry of the admin's history that is about a voice sample or a report."""
    model = instance.content_type.model_class() if instance.content_type is not None else None
    if not created or raw or not instance.object_id or model not in (VoiceSample, Report):
        return
    row = model._default_manager.filter(pk=instance.object_id).first()
    if row is None:
        return
    said = instance.get_change_message()
    begin, revealed = _REVEALED[model]
    action, reason = _ACTIONS.get(said, "change"), ""
    if said.startswith(begin):
        action, reason = revealed, said.removeprefix(begin)
    audit.record(f"staff:{instance.user.get_username()}", action, _target(row), reason, _details(row))


def _target(row: VoiceSample | Report) -> audit.Target:
    if isinstance(row, VoiceSample):
        return audit.Target("voice", f"{row.uid}/{row.person_id or 'user'}", row.uid)
    return audit.Target("report", row.pk, row.uid, row.memory_id)


def _details(row: VoiceSample | Report) -> dict[str, str]:
    return {"sample": str(row.pk)} if isinstance(row, VoiceSample) else {"part": row.part}
