"""A migrated SQLite database, made once and copied: migrating takes seconds of each test process and each server."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from django.test import TransactionTestCase
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / ".pytest_cache" / "migrated"


def put_database(folder: Path) -> Path:
    """Lay the migrated database into the data folder of an installation (``OMI_DATA_DIR``); its path."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(migrated(), folder / "omi.sqlite3"))


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """The test database is there already; the folder that it lies in is removed after the run."""
    return True


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Lay the migrated database where pytest-django would make one."""
    shutil.copyfile(migrated(), settings.DATABASES["default"]["TEST"]["NAME"])


@pytest.fixture(scope="session", autouse=True)
def quick_flush() -> Iterator[None]:
    """After a test with transactions of its own, every table holds what the migrated one does.

    Django's ``flush`` makes all content types, permissions and schedules anew each time, a tenth of a second of a core.
    """
    slow = TransactionTestCase._fixture_teardown

    def teardown(case: TransactionTestCase) -> None:
        if set(case._databases_names(include_mirrors=False)) == {"default"}:
            restore(migrated())
        else:
            slow(case)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", teardown)
        yield


def keep(file: Path) -> None:
    """Write what the test database holds into ``file``, for ``restore``."""
    with connections["default"].cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(file)])


def restore(file: Path) -> None:
    """Give every table of the test database the rows that it has in ``file``."""
    connection = connections["default"]
    with connection.cursor() as cursor:
        cursor.execute("ATTACH DATABASE %s AS kept", [f"file:{file}?mode=ro"])
        cursor.execute("PRAGMA foreign_keys = OFF")
        try:
            cursor.execute("BEGIN IMMEDIATE")
            tables = _selected(cursor, "SELECT name FROM kept.sqlite_master WHERE type = 'table'")
            for (table,) in tables:
                if table != "sqlite_sequence":
                    _restore_table(cursor, table)
            cursor.execute("COMMIT")
        finally:
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.execute("DETACH DATABASE kept")


def _restore_table(cursor: Any, table: str) -> None:
    """Also a log that triggers guard: they are taken away meanwhile."""
    if not any(_selected(cursor, f'SELECT 1 FROM {schema}."{table}" LIMIT 1') for schema in ("main", "kept")):
        return
    guards = _selected(
        cursor, f"SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'"
    )
    for name, _ in guards:
        cursor.execute(f'DROP TRIGGER main."{name}"')
    cursor.execute(f'DELETE FROM main."{table}"')
    cursor.execute(f'INSERT INTO main."{table}" SELECT * FROM kept."{table}"')
    for _, statement in guards:
        cursor.execute(statement)


def _selected(cursor: Any, query: str) -> list[Any]:
    return list(cursor.execute(query).fetchall())


@cache
def migrated() -> Path:
    """The database that ``manage.py migrate`` makes of nothing, kept until something it is made from changes."""
    file = STORE / f"{_key()}.sqlite3"
    STORE.mkdir(parents=True, exist_ok=True)
    with (STORE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers of one run begin together
        if not file.exists():
            for old in STORE.glob("*.sqlite3"):
                old.unlink()
            _make(file)
    return file


def _key() -> str:
    """Of the pinned packages, the settings, and all code that a migration runs or that listens for its end."""
    sources = [ROOT / "requirements.txt", ROOT / "constraints.txt", *sorted((ROOT / "omi").glob("settings*.py"))]
    for app in ("omi", "memories", "transcription", "speakers", "emotions"):
        sources += sorted((ROOT / app).glob("**/migrations/*.py"))
    sources += sorted((ROOT / "memories").glob("**/apps.py"))
    sources += [*sorted((ROOT / "memories").glob("**/upkeep.py")), *sorted((ROOT / "memories").glob("**/schedules.py"))]
    sources += [ROOT / "omi/shared_metrics/schedules.py"]
    sources += sorted((ROOT / "memories").glob("**/triggers.py"))
    digest = hashlib.sha256()
    for source in sources:
        digest.update(str(source.relative_to(ROOT)).encode() + source.read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session")
def new_postgres(postgres_url: str) -> Callable[[str], str]:
    """Makes a migrated PostgreSQL database of a name; its address. Filled once, and copied by PostgreSQL then."""
    server = postgres_url.rsplit("/", 1)[0]
    filled: list[str] = []

    def make(name: str) -> str:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            if not filled:
                connection.execute("DROP DATABASE IF EXISTS migrated")  # where an earlier test ended in the middle
                connection.execute("CREATE DATABASE migrated")
                fill_postgres(f"{server}/migrated")
                filled.append("migrated")
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE migrated").format(sql.Identifier(name)))
        return f"{server}/{name}"

    return make


def fill_postgres(url: str) -> None:
    """Make an empty PostgreSQL database what ``manage.py migrate`` makes of one: from a dump that is kept."""
    file = STORE / f"{_key()}.sql"
    STORE.mkdir(parents=True, exist_ok=True)
    with (STORE / "lock-postgres").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            for old in STORE.glob("*.sql"):
                old.unlink()
            with tempfile.TemporaryDirectory(dir=STORE) as folder:
                _migrate(folder, DATABASE_URL=url)
                dump = Path(folder) / "dump.sql"
                _do("pg_dump", "--no-owner", "--file", str(dump), url)
                dump.rename(file)
            return
    _do("psql", "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--single-transaction", "--file", str(file), url)


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def _migrate(folder: str, **variables: str) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "omi.settings",
        "OMI_DATA_DIR": folder,
        "SECRET_KEY": "tests-only-" + "x" * 50,
        **variables,
    }
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def _make(file: Path) -> None:
    with tempfile.TemporaryDirectory(dir=STORE) as folder:
        _migrate(folder)
        made = Path(folder) / "omi.sqlite3"
        connection = sqlite3.connect(made)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        made.rename(file)
