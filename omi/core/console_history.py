"""The support console's history after an erasure: who did what and when, without whose it was and without a reason."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet

from omi.core.batches import batches

PAGE = 500


def forget(rows: QuerySet[Any]) -> None:
    """Blank the history of these rows, before they are deleted: an entry names its row as text, and may have a reason
    in words."""
    keys = [str(pk) for pk in rows.values_list("pk", flat=True)]
    kind = ContentType.objects.get_for_model(rows.model)
    for part in batches(keys, PAGE):
        entries = LogEntry.objects.filter(content_type=kind, object_id__in=part)
        for entry in entries:
            what = entry.change_message.split(":")[0].removesuffix(" Reason")
            entry.object_repr, entry.change_message = "erased", what[:100]
        LogEntry.objects.bulk_update(entries, ["object_repr", "change_message"])


def of_user(uid: str) -> QuerySet[LogEntry]:
    """Return the entries that name the user, as memories (``uid/id``) and voices (``... of uid/person``) are named."""
    return LogEntry.objects.filter(Q(object_repr__startswith=f"{uid}/") | Q(object_repr__contains=f" of {uid}/"))
