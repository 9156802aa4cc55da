"""Groups of an earlier version judge voices and close reports, too, and see decisions on speakers (roles.widen)."""

from django.db import migrations

from memories.console import roles

NEW = (roles.JUDGE_VOICES, roles.CLOSE_REPORTS)


def widen_groups(apps, schema_editor):
    using = schema_editor.connection.alias if schema_editor is not None else "default"
    roles.widen(apps, using, NEW, ("speakerdecision", "report"))


class Migration(migrations.Migration):
    dependencies = [("console", "0003_failures_and_replays")]
    operations = [
        migrations.AlterModelOptions(
            name="console",
            options={
                "default_permissions": (), "managed": False,
                "permissions": (
                    ("view_masked", "Sees the console: ids, times, states and counts, no words"),
                    ("reveal", "Reads words of a memory after giving a reason"),
                    ("play_audio", "Hears recordings of a memory after giving a reason"),
                    ("retry", "Has a memory processed again"),
                    ("cancel", "Stops the runs of a memory"),
                    ("set_status", "Sets what a memory says of its post-processing"),
                    ("activate_version", "Chooses which transcript of a memory is shown"),
                    ("identify_again", "Has the speakers of a memory identified again"),
                    ("delete_audio", "Deletes recordings of a memory before their time"),
                    ("restore", "Brings back a memory that its user deleted"),
                    ("replay", "Starts, pauses, stops and undoes incident replays"),
                    ("manage_failures", "Assigns, ignores and resolves groups of failures"),
                    ("manage_breakers", "Opens and closes the circuit breakers of vendors"),
                    ("view_audit", "Reads the log of what staff did"),
                    ("judge_voices", "Accepts and removes samples of a voice"),
                    ("close_reports", "Closes what users reported"),
                ),
            },
        ),
        migrations.RunPython(widen_groups, migrations.RunPython.noop),
    ]
