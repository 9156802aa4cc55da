"""A call to a vendor has one record, with its owner, deadline and late answer; what is under way is carried over."""

from datetime import UTC, datetime, timedelta

from django.db import migrations, models

CALL = "call:"
OPTIONAL_STEPS = ("emotions",)
PATIENCE = 300.0


def carry_over(apps, schema_editor):
    """Calls that checkpoints name, with answers that are kept beside the steps, become fields of the calls' rows."""
    step_model = apps.get_model("pipeline", "RunStep")
    artifact_model = apps.get_model("pipeline", "StepArtifact")
    call_model = apps.get_model("pipeline", "VendorCall")
    for step in step_model.objects.filter(checkpoint__has_key="call").iterator():
        named = step.checkpoint.pop("call") or {}
        kept = artifact_model.objects.filter(step=step, name=f"{CALL}{named.get('id')}").first()
        same = call_model.objects.filter(run_id=step.run_id, step=step.name, request_key=named.get("key") or "-")
        call = same.order_by("-id").first()
        if call is not None and named.get("id"):
            call.answer = bytes(kept.body) if kept is not None else None
            if kept is None and call.outcome == "":
                call.owner, call.limit = named.get("owner") or "", named.get("limit") or 0.0
                call.deadline = datetime.fromtimestamp(named.get("until") or 0.0, UTC)
            call.save(update_fields=["answer", "owner", "limit", "deadline"])
        step.save(update_fields=["checkpoint"])
    artifact_model.objects.filter(name__startswith=CALL).delete()
    for step in step_model.objects.filter(name__in=OPTIONAL_STEPS, state="waiting", started_at__isnull=False):
        prepared = step_model.objects.filter(run_id=step.run_id, name="prepare_audio").first()
        seconds = float((prepared.output or {}).get("seconds") or 0.0) if prepared is not None else 0.0
        step.deadline_at = step.started_at + timedelta(seconds=PATIENCE + seconds / 60)
        step.save(update_fields=["deadline_at"])


class Migration(migrations.Migration):
    dependencies = [("pipeline", "0006_counted_rows")]

    operations = [
        migrations.AddField("runstep", "deadline_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("vendorcall", "answer", models.BinaryField(blank=True, null=True)),
        migrations.AddField("vendorcall", "deadline", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("vendorcall", "limit", models.FloatField(db_default=0.0, default=0.0)),
        migrations.AddField(
            "vendorcall", "owner", models.CharField(blank=True, db_default="", default="", max_length=128)
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
        migrations.RemoveConstraint("postprocessingrun", "run_idempotency_key"),
        migrations.RemoveField("postprocessingrun", "idempotency_key"),
    ]
