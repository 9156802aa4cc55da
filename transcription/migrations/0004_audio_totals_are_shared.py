"""Seconds of live audio are shared counters as all others: one table for what all processes add up."""

import json

from django.db import migrations

UNLABELLED = ("omi_audio_settled_seconds", "omi_sessions_recovered")


def carry_over(apps, schema_editor):
    """Give every total the row that the shared counter of its name reads."""
    shared = apps.get_model("shared_metrics", "SharedTotal")
    for total in apps.get_model("transcription", "AudioTotal").objects.iterator():
        labels = [] if total.name in UNLABELLED else [total.label]
        row, _ = shared.objects.get_or_create(name=total.name, labels=json.dumps(labels))
        row.value += total.value
        row.save(update_fields=["value"])


class Migration(migrations.Migration):
    dependencies = [("transcription", "0003_audio_total"), ("shared_metrics", "0001_initial")]

    operations = [
        migrations.RunPython(carry_over, migrations.RunPython.noop),
        migrations.DeleteModel("AudioTotal"),
    ]
