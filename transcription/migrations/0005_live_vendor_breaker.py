"""The breaker of live speech has a name of its own, beside that of the pipeline; its table keeps its name, so that the
released code runs on beside this one."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("transcription", "0004_audio_totals_are_shared")]
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterModelTable("vendorbreaker", "transcription_vendorbreaker"),
                migrations.RenameModel("VendorBreaker", "LiveVendorBreaker"),
            ]
        )
    ]
