"""The database refuses to change, delete or truncate the audit log, whoever asks: code, shell or SQL.

One change passes, because the law asks for it: what names an erased user is blanked, and nothing else of the entry.
Installed anew after every ``migrate``: SQLite loses triggers when a later migration remakes the table.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import connections

TABLE: Final = "console_auditentry"
NAME: Final = "audit_is_only_added_to"

_SAME: Final = ("id", "at", "actor", "action", "target_kind")


def _refused(vendor: str) -> str:
    """SQL over OLD and NEW that is true for an UPDATE that is refused: any but the blanking of an erasure."""
    differs = "IS NOT" if vendor == "sqlite" else "IS DISTINCT FROM"
    kept = " OR ".join(f"NEW.{column} {differs} OLD.{column}" for column in _SAME)
    details = "NEW.details" if vendor == "sqlite" else "NEW.details::text"
    return (
        f"({kept} OR NEW.target <> 'erased' OR NEW.uid <> '' OR NEW.memory_id <> '' OR NEW.reason <> ''"
        f" OR {details} <> '{{}}')"
    )


def statements(vendor: str) -> list[str]:
    """What installs the triggers on ``vendor`` ("sqlite", "postgresql"). A violation is an IntegrityError."""
    if vendor == "sqlite":
        made = []
        for event, when in (("UPDATE", f" WHEN {_refused(vendor)}"), ("DELETE", "")):
            name = f"{NAME}_{event.lower()}"
            made += [
                f"DROP TRIGGER IF EXISTS {name}",
                f"CREATE TRIGGER {name} BEFORE {event} ON {TABLE} FOR EACH ROW{when}"
                f" BEGIN SELECT RAISE(ABORT, '{NAME}'); END",
            ]
        return made
    if vendor == "postgresql":
        made = [
            # A development or test database that is to be emptied sets ``omi.may_truncate``, as for the history.
            f"CREATE OR REPLACE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF TG_OP = 'TRUNCATE' AND COALESCE(current_setting('omi.may_truncate', true), '') = 'on' "
            f"THEN RETURN NULL; END IF; RAISE EXCEPTION '{NAME}' USING ERRCODE = 'check_violation'; END $$"
        ]
        for event, when in (
            ("UPDATE", f" FOR EACH ROW WHEN {_refused(vendor)}"),
            ("DELETE", " FOR EACH ROW"),
            ("TRUNCATE", " FOR EACH STATEMENT"),
        ):
            name = f"{NAME}_{event.lower()}"
            made += [
                f"DROP TRIGGER IF EXISTS {name} ON {TABLE}",
                f"CREATE TRIGGER {name} BEFORE {event} ON {TABLE}{when} EXECUTE FUNCTION {NAME}()",
            ]
        return made
    raise NotImplementedError(f"no trigger is written for {vendor}")


def install(*, using: str, **_: Any) -> None:
    """After ``migrate``. Does nothing where the table is not there (a database of other apps)."""
    connection = connections[using]
    with connection.cursor() as cursor:
        if TABLE not in connection.introspection.table_names(cursor):
            return
        for statement in statements(connection.vendor):
            cursor.execute(statement)
