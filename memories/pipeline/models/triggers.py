"""The table of allowed transitions, and that history is only added to, as the database enforces them: by triggers.

CHECK constraints (models/runs.py) see one state of a row; a trigger sees the old one, too. Whatever code, shell or
other version of this server writes: an ended run stays ended with its outcome, a state follows only where
``states.ALLOWED`` lets it, the fence never goes back, and no row of the history is changed (they go with the run
they belong to, when it is erased). Installed anew after every ``migrate``, from the table
itself: SQLite loses triggers when a later migration remakes the table.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import connections

from memories.pipeline.states import ALLOWED, State

NAME: Final = "run_transition_allowed"
TABLE: Final = "pipeline_postprocessingrun"
COLUMNS: Final = "state, outcome, fence, message_id, finished_at"

HISTORY: Final = ("pipeline_runevent", "pipeline_stepattempt")
HISTORY_NAME: Final = "history_is_only_added_to"


def condition() -> str:
    """SQL over OLD and NEW that is true for a change that is refused."""
    pairs = sorted(f"{old}>{new}" for old, following in ALLOWED.items() for new in following)
    listed = ", ".join(f"'{pair}'" for pair in pairs)
    return (
        f"(OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN ({listed}))"
        f" OR (OLD.state = '{State.FINISHED}' AND (OLD.outcome <> NEW.outcome OR OLD.message_id <> NEW.message_id"
        f" OR OLD.finished_at <> NEW.finished_at)) OR NEW.fence < OLD.fence"
    )


def statements(vendor: str) -> list[str]:
    """What installs the triggers. A violation is an IntegrityError on both databases."""
    made = _trigger(vendor, NAME, TABLE, f"UPDATE OF {COLUMNS}", f" WHEN ({condition()})")
    for table in HISTORY:
        made += _trigger(vendor, f"{HISTORY_NAME}_{table}", table, "UPDATE", "")
    if vendor == "postgresql":  # SQLite has no TRUNCATE; a DELETE of many rows is erasure's and retention's way
        for table in (TABLE, *HISTORY):
            made += _no_truncate(table)
    return made


def _no_truncate(table: str) -> list[str]:
    """Row triggers do not see a TRUNCATE. A development database that is to be emptied sets ``omi.may_truncate``."""
    name = f"never_truncated_{table}"
    function = (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF COALESCE(current_setting('omi.may_truncate', true), '') <> 'on' THEN "
        f"RAISE EXCEPTION '{name}' USING ERRCODE = 'check_violation'; END IF; RETURN NULL; END $$"
    )
    trigger = f"CREATE TRIGGER {name} BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    return [function, f"DROP TRIGGER IF EXISTS {name} ON {table}", trigger]


def _trigger(vendor: str, name: str, table: str, event: str, when: str) -> list[str]:
    drop = f"DROP TRIGGER IF EXISTS {name}"
    head = f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW{when}"
    if vendor == "sqlite":
        return [drop, f"{head} BEGIN SELECT RAISE(ABORT, '{name}'); END"]
    if vendor == "postgresql":
        function = (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{name}' USING ERRCODE = 'check_violation'; END $$"
        )
        return [function, f"{drop} ON {table}", f"{head} EXECUTE FUNCTION {name}()"]
    raise NotImplementedError(f"no trigger is written for {vendor}")


QUEUE: Final = "django_q_ormq"
QUEUE_INDEX: Final = f"CREATE INDEX IF NOT EXISTS queue_due ON {QUEUE} (key, lock)"
"""What is due, and since when, is asked for at every scrape, by the admission's watch and by every worker that is free.
The table is Django-Q2's, so no model of ours can declare the index; its own migrations remake the table on SQLite."""


def install(*, using: str, **_: Any) -> None:
    """After ``migrate``: the triggers, and the index of the queue. Nothing is done to a table that is not there (a
    database of other apps)."""
    connection = connections[using]
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        if QUEUE in tables:
            cursor.execute(QUEUE_INDEX)
        if TABLE not in tables:
            return
        for statement in statements(connection.vendor):
            cursor.execute(statement)
