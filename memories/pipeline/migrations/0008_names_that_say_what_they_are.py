"""Fields are called what they are; their columns keep their names, so that the released code runs on beside this one
and the queries of operators (``ops/kubernetes/scaling.yaml``) go on."""

from __future__ import annotations

from django.db import migrations, models
from django.db.models import Q


def renamed(model: str, old: str, new: str, field: models.Field) -> list[migrations.operations.base.Operation]:
    return [migrations.AlterField(model, old, field), migrations.RenameField(model, old, new)]


RUN = "postprocessingrun"

STATE = [
    migrations.RemoveIndex(RUN, "run_due"),
    migrations.RemoveConstraint(RUN, "run_wake_time_only_when_waiting"),
    migrations.RemoveConstraint(RUN, "run_held_is_not_at_work"),
    migrations.RemoveConstraint(RUN, "run_one_active_per_memory"),
    migrations.RemoveConstraint(RUN, "run_one_in_line_per_kind"),
    *renamed(RUN, "announced", "notified", models.BooleanField(default=False, db_column="announced")),
    *renamed(RUN, "held", "blocked", models.BooleanField(default=False, db_column="held")),
    *renamed(RUN, "wake_at", "due_at", models.DateTimeField(null=True, blank=True, db_column="wake_at")),
    *renamed(RUN, "woken_at", "task_sent_at", models.DateTimeField(null=True, blank=True, db_column="woken_at")),
    migrations.AddIndex(RUN, models.Index(fields=["state", "due_at"], name="run_due")),
    migrations.AddConstraint(
        RUN,
        models.CheckConstraint(
            condition=(Q(state="waiting") & Q(due_at__isnull=False)) | (~Q(state="waiting") & Q(due_at__isnull=True)),
            name="run_wake_time_only_when_waiting",
        ),
    ),
    migrations.AddConstraint(
        RUN,
        models.CheckConstraint(
            condition=Q(blocked=False) | Q(state__in=["queued", "finished"]), name="run_held_is_not_at_work"
        ),
    ),
    migrations.AddConstraint(
        RUN,
        models.UniqueConstraint(
            fields=["uid", "memory_id"],
            condition=~Q(state="finished") & Q(blocked=False),
            name="run_one_active_per_memory",
        ),
    ),
    migrations.AddConstraint(
        RUN,
        models.UniqueConstraint(
            fields=["uid", "memory_id", "kind"],
            condition=~Q(state="finished") & Q(blocked=True),
            name="run_one_in_line_per_kind",
        ),
    ),
    *renamed("vendorcall", "doubled", "duplicate", models.BooleanField(default=False, db_column="doubled")),
    *renamed("vendorcall", "taken", "possibly_billed", models.BooleanField(default=False, db_column="taken")),
]


class Migration(migrations.Migration):
    dependencies = [("pipeline", "0007_one_record_of_a_call")]
    operations = [migrations.SeparateDatabaseAndState(state_operations=STATE)]
