"""The groups viewer, support, senior and admin, with their permissions (memories.console.roles)."""

from django.db import migrations

from memories.console import roles


def make(apps, schema_editor):
    roles.ensure(apps, schema_editor.connection.alias)


class Migration(migrations.Migration):
    dependencies = [
        ("console", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
