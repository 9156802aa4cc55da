"""What corrections taught of how sure a voice must be for a user had no record; it is a value like any other now."""

from __future__ import annotations

from typing import Any

from django.db import migrations
from django.utils import timezone

ACCEPT, LIMIT = 0.95, 0.04
"""As ``speakers.policy`` had them when these were learned."""


def record_shifts(apps: Any, _: Any) -> None:
    """A shift that is in force becomes a value of the learner ``calibration``, on top of what that had learned."""
    values = apps.get_model("experiments", "TunedValue").objects
    for row in apps.get_model("speakers", "UserThreshold").objects.exclude(shift=0.0).iterator():
        applied = values.filter(name="speaker_accept", state="applied", uid__in=("", row.uid))
        newest = applied.order_by("-uid", "-id").first()
        now = float(newest.value) if newest is not None else ACCEPT
        value = round(max(ACCEPT - LIMIT, min(ACCEPT + LIMIT, now + row.shift)), 3)
        values.create(
            name="speaker_accept", uid=row.uid, value=value, origin="learner:calibration", actor="migration",
            why=f"moved by {row.corrections} corrections before values had a record", at=timezone.now(),
            evidence={"corrections": row.corrections}, before={"value": now}, after={},
        )  # fmt: skip
        row.shift = 0.0
        row.save(update_fields=["shift"])


class Migration(migrations.Migration):
    dependencies = [
        ("learning", "0001_initial"),
        ("experiments", "0001_initial"),
        ("speakers", "0002_voice_copies_and_facts"),
    ]

    operations = [migrations.RunPython(record_shifts, migrations.RunPython.noop)]
