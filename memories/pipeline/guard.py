"""The table of allowed transitions, as the database enforces it: a trigger that no UPDATE gets past.

CHECK constraints (models/runs.py) see one state of a row; a trigger sees the old one, too. Whatever code, shell or
other version of this server writes: an ended run stays ended with its outcome, a state follows only where
``transitions.ALLOWED`` lets it, and the fence never goes back. Installed anew after every ``migrate``, from the table
itself: SQLite loses triggers when a later migration remakes the table.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import connections

from memories.pipeline.transitions import ALLOWED
from memories.pipeline.vocabulary import State

NAME: Final = "run_transition_allowed"
TABLE: Final = "pipeline_postprocessingrun"
COLUMNS: Final = "state, outcome, fence"


def condition() -> str:
    """SQL over OLD and NEW that is true for a change that is refused."""
    pairs = sorted(f"{old}>{new}" for old, following in ALLOWED.items() for new in following)
    listed = ", ".join(f"'{pair}'" for pair in pairs)
    return (
        f"(OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN ({listed}))"
        f" OR (OLD.state = '{State.FINISHED}' AND OLD.outcome <> NEW.outcome) OR NEW.fence < OLD.fence"
    )


def statements(vendor: str) -> list[str]:
    """What installs the trigger. Its violation is an IntegrityError on both databases."""
    drop = f"DROP TRIGGER IF EXISTS {NAME}"
    head = f"CREATE TRIGGER {NAME} BEFORE UPDATE OF {COLUMNS} ON {TABLE} FOR EACH ROW WHEN ({condition()})"
    if vendor == "sqlite":
        return [drop, f"{head} BEGIN SELECT RAISE(ABORT, '{NAME}'); END"]
    if vendor == "postgresql":
        function = (
            f"CREATE OR REPLACE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{NAME}' USING ERRCODE = 'check_violation'; END $$"
        )
        return [function, f"{drop} ON {TABLE}", f"{head} EXECUTE FUNCTION {NAME}()"]
    raise NotImplementedError(f"no trigger is written for {vendor}")


def install(*, using: str, **_: Any) -> None:
    """After ``migrate``. Does nothing where the table is not there (a database of other apps)."""
    connection = connections[using]
    with connection.cursor() as cursor:
        if TABLE not in connection.introspection.table_names(cursor):
            return
        for statement in statements(connection.vendor):
            cursor.execute(statement)
