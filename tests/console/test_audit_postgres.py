"""The triggers of the audit log on PostgreSQL, TRUNCATE included."""

from __future__ import annotations

import pytest

from memories.console import triggers

COLUMNS = (
    "id bigint, at timestamptz, actor text, action text, target_kind text, target text, uid text, memory_id text,"
    " reason text, details jsonb"
)


def test_postgresql_refuses_every_change_but_an_erasures(postgres_url: str) -> None:
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as database:
        database.execute("CREATE SCHEMA audit; SET search_path TO audit")
        try:
            database.execute(f"CREATE TABLE {triggers.TABLE} ({COLUMNS})")  # type: ignore[arg-type]
            for _ in range(2):  # they are installed anew after each migrate
                for statement in triggers.statements("postgresql"):
                    database.execute(statement)  # type: ignore[arg-type]
            database.execute(
                f"INSERT INTO {triggers.TABLE} VALUES (1, now(), 'staff:ana', 'reveal', 'memory', 'alice/m-1', 'alice',"
                " 'm-1', 'ticket 12', '{\"run\": 4}')"  # type: ignore[arg-type]
            )
            blank = "target = 'erased', uid = '', memory_id = '', reason = '', details = '{}'"
            for statement in (
                f"UPDATE {triggers.TABLE} SET reason = 'x'",
                f"UPDATE {triggers.TABLE} SET {blank}, actor = 'staff:bob'",
                f"DELETE FROM {triggers.TABLE}",
                f"TRUNCATE {triggers.TABLE}",
            ):
                with pytest.raises(psycopg.errors.CheckViolation):
                    database.execute(statement)  # type: ignore[arg-type]
            assert database.execute(f"UPDATE {triggers.TABLE} SET {blank}").rowcount == 1  # type: ignore[arg-type]
            database.execute("SET omi.may_truncate = 'on'")
            database.execute(f"TRUNCATE {triggers.TABLE}")  # type: ignore[arg-type]
        finally:
            database.execute("DROP SCHEMA audit CASCADE")
