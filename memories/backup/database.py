"""The database of an installation: copied while servers write to it, and put back whole or not at all."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from django.conf import settings
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader

from memories.backup.archive import BackupError

SQLITE_PART = "omi.sqlite3"
POSTGRES_PART = "database.pgdump"
"""Kept by ``pg_dump --format=custom``."""
LEAVINGS = ("-wal", "-shm", "-journal")


def sqlite_file() -> Path:
    """The SQLite file. Raises BackupError where it does not lie in the data folder, as it does by default."""
    file = Path(str(connection.settings_dict["NAME"]))
    if file != Path(settings.OMI_DATA_DIR) / SQLITE_PART:
        raise BackupError(f"The database {file} does not lie in OMI_DATA_DIR: unset DATABASE_URL, or copy it yourself.")
    return file


def copy_sqlite(target: Path) -> None:
    """Copy the database at one moment, by SQLite's own means: a server may write to it meanwhile."""
    file = sqlite_file()
    if not file.exists():
        raise BackupError(f"There is no database {file}: nothing to back up.")
    try:
        with (
            closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=20)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
    except sqlite3.Error as error:
        raise BackupError(f"The database {file} cannot be copied: {error}.") from error


def dump_postgres(target: Path) -> None:
    """Have ``pg_dump`` write the database, at one moment, to ``target``."""
    _run("pg_dump", ["--format=custom", "--no-owner", "--lock-wait-timeout=60s", f"--file={target}"])


def load_postgres(source: Path, *, replace: bool) -> None:
    """Have ``pg_restore`` fill the database in one transaction; ``replace`` drops the tables of the archive first."""
    if not replace and connection.introspection.table_names():
        raise BackupError("The PostgreSQL database is not empty: give an empty one, or --force to replace its tables.")
    connections.close_all()
    more = ["--clean", "--if-exists"] if replace else []
    _run("pg_restore", ["--single-transaction", "--exit-on-error", "--no-owner", *more], last=[str(source)])


def check_sqlite(file: Path) -> list[tuple[str, str]]:
    """Whether a file of an archive is a sound database. Its migrations."""
    try:
        with closing(sqlite3.connect(file)) as opened:
            found = opened.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise BackupError(f"The database in the archive is damaged: {found}.")
            return [(app, name) for app, name in opened.execute("SELECT app, name FROM django_migrations")]
    except sqlite3.Error as error:
        raise BackupError(f"The database in the archive is damaged: {error}.") from error
    finally:
        for end in LEAVINGS:
            Path(f"{file}{end}").unlink(missing_ok=True)


def require_unused(file: Path) -> None:
    """Make sure that no other process has the SQLite file open, which would go on writing to the old one; raises
    BackupError.

    Asks for the lock that SQLite gives only to whoever is alone, and writes nothing. A worker always has the file open;
    a web server that nobody asks anything may have closed it.
    """
    connections.close_all()
    if not file.exists():
        return
    try:
        with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as opened:
            opened.execute("PRAGMA locking_mode=EXCLUSIVE")
            opened.execute("BEGIN EXCLUSIVE")
            opened.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise BackupError("A server still uses this data folder: stop it first.") from error
        # A database that is damaged is what a restore is for.


def known_migrations() -> set[tuple[str, str]]:
    """The migrations that this version of the code has."""
    return set(MigrationLoader(None).disk_migrations)


def applied_migrations() -> list[tuple[str, str]]:
    """The migrations that the database in use has."""
    return sorted(MigrationLoader(connection).applied_migrations)


def _run(program: str, options: list[str], last: list[str] | None = None) -> None:
    found = shutil.which(program)
    if found is None:
        raise BackupError(f"{program} is not installed here: it comes with PostgreSQL's client programs.")
    client = connection.client
    words, variables = client.settings_to_cmd_args_env(connection.settings_dict, [])
    where = [f"--dbname={words[-1]}", *words[1:-1]]  # the words of psql: host, port and user, then the name
    environment = {"PATH": os.defpath, **(variables or {})}  # a password never stands in the list of processes
    done = subprocess.run(
        [found, *options, "--no-password", *where, *(last or [])],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        told = next((line for line in done.stderr.splitlines() if "error" in line), f"exit code {done.returncode}")
        raise BackupError(f"{program} did not do it: {told}.")
