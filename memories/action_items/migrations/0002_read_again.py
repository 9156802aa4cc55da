"""Memories with open action items are read again, so that each gets its rows; the schedule of the word index does it."""

from django.db import migrations
from django.db.models import Exists, OuterRef


def mark(apps, schema_editor):
    indexed = apps.get_model("passages", "IndexedMemory").objects.filter(
        uid=OuterRef("uid"), memory_id=OuterRef("memory_id"), open_items__gt=0
    )
    apps.get_model("memories", "MemoryRow").objects.filter(Exists(indexed)).update(words_stale=True)


class Migration(migrations.Migration):
    dependencies = [
        ("action_items", "0001_initial"),
        ("memories", "0005_webhooks"),
        ("passages", "0001_initial"),
    ]

    operations = [migrations.RunPython(mark, migrations.RunPython.noop)]
