"""A rolling deploy migrates the database first: the code of the last release runs on the new schema for a while.

``ops/released-migrations.txt`` says where that release stood. Django keeps every model of then in its migrations, so
what the released code writes and reads is known without that code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

ROOT = Path(__file__).resolve().parents[2]
OURS = ("omi.", "memories", "speakers", "transcription", "emotions")


def released() -> list[tuple[str, str]]:
    lines = (ROOT / "ops" / "released-migrations.txt").read_text().splitlines()
    return [(app, name) for app, _, name in (line.partition(".") for line in lines if line and line[0] != "#")]


def harmful(operation: Operation, new_models: set[str]) -> str:
    """Why the released code could not live with an operation; empty where it can. ``new_models``: those that it does
    not know, which may be changed at will."""
    model = str(getattr(operation, "model_name", "") or getattr(operation, "name", "")).lower()
    if isinstance(operation, migrations.CreateModel | migrations.RunPython) or model in new_models:
        return ""
    if isinstance(operation, migrations.SeparateDatabaseAndState):  # what only the state knows does not touch a table
        return next((why for part in operation.database_operations if (why := harmful(part, new_models))), "")
    if isinstance(operation, migrations.AddField):
        field: models.Field[Any, Any] = operation.field
        given = field.null or field.db_default is not models.NOT_PROVIDED or field.many_to_many
        return "" if given else f"{model}.{operation.name} is required, and the released code does not give it"
    if isinstance(operation, migrations.AddIndex | migrations.RemoveIndex | migrations.AlterModelOptions):
        return ""
    if isinstance(operation, migrations.AlterField):
        return ""  # choices live in Python; whether the column has changed is seen in the tables, below
    return f"{type(operation).__name__} of {model}: {operation.describe()}"


def test_migrations_since_the_release_only_add() -> None:
    loader = MigrationLoader(None)
    known, wrong = set(released()), []
    for (app, name), migration in sorted(loader.disk_migrations.items()):  # type: ignore[union-attr]
        if (app, name) in known or not migration.__module__.startswith(OURS):
            continue
        new = {
            operation.name.lower()
            for (other, number), earlier in loader.disk_migrations.items()  # type: ignore[union-attr]
            if other == app and (other, number) not in known
            for operation in earlier.operations
            if isinstance(operation, migrations.CreateModel)
        }
        wrong += [f"{app}.{name}: {why}" for operation in migration.operations if (why := harmful(operation, new))]
    assert wrong == []


@pytest.mark.django_db
def test_the_released_code_reads_and_writes_every_table_as_it_is_now() -> None:
    """Its INSERT names its own columns: those that came since must do without. Its SELECT names them, too: they must
    all be there."""
    loader = MigrationLoader(connection)
    then = loader.project_state(released()).apps
    tables = set(connection.introspection.table_names())
    looked, wrong = 0, []
    for model in then.get_models():
        if model._meta.db_table not in tables:
            wrong.append(f"{model._meta.db_table} is gone")
            continue
        with connection.cursor() as cursor:
            now = {item.name: item for item in connection.introspection.get_table_description(
                cursor, model._meta.db_table)}  # fmt: skip
        columns = {field.column: field for field in model._meta.local_fields if field.column}
        wrong += [f"{model._meta.db_table}.{name} is gone" for name in columns.keys() - now.keys()]
        wrong += [
            f"{model._meta.db_table}.{name} is required and was not there"
            for name in now.keys() - columns.keys()
            if not now[name].null_ok and now[name].default is None
        ]
        wrong += [
            f"{model._meta.db_table}.{name} may not be empty any more"
            for name in columns.keys() & now.keys()
            if columns[name].null and not now[name].null_ok
        ]
        looked += 1
    assert wrong == []
    assert looked > 25


@pytest.mark.parametrize(
    ("operation", "well"),
    [
        (migrations.AddField("run", "note", models.TextField(null=True)), True),
        (migrations.AddField("run", "note", models.TextField(db_default="")), True),
        (migrations.AddField("run", "note", models.TextField(default="")), False),  # Django drops that default again
        (migrations.RemoveField("run", "state"), False),
        (migrations.RenameField("run", "state", "phase"), False),
        (migrations.DeleteModel("run"), False),
        (migrations.AddConstraint("run", models.UniqueConstraint(fields=["uid"], name="once")), False),
        (migrations.AddField("made", "note", models.TextField()), True),  # the released code does not know the table
        (migrations.RunSQL("DROP TABLE run"), False),
        (migrations.SeparateDatabaseAndState(state_operations=[migrations.RenameField("run", "state", "phase")]), True),
        (migrations.SeparateDatabaseAndState([migrations.RemoveField("run", "state")]), False),
    ],
)
def test_what_the_released_code_could_not_live_with_is_refused(operation: Operation, well: bool) -> None:
    assert (harmful(operation, {"made"}) == "") is well
