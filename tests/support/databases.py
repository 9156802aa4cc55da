"""Further databases for the local twins: a SQLite file with the project's own options, and a real PostgreSQL.

The test database of pytest-django lives in memory and in one transaction; what several processes do to each other can
only be seen in these.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connections

_SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
}


@pytest.fixture(scope="session")
def sqlite_alias(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[str]:
    file = tmp_path_factory.mktemp("sqlite") / "twin.sqlite3"
    settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file), "OPTIONS": dict(_SQLITE_OPTIONS)}
    yield from _alias("twin_sqlite", settings, django_db_blocker)


@pytest.fixture(scope="session")
def postgres_alias(postgres_url: str, django_db_blocker: Any) -> Iterator[str]:
    found = re.fullmatch(r"postgres://(\w+)@([\d.]+):(\d+)/(\w+)", postgres_url)
    assert found is not None
    user, host, port, name = found.groups()
    settings = {"ENGINE": "django.db.backends.postgresql", "NAME": name, "USER": user, "HOST": host, "PORT": port}
    yield from _alias("twin_postgres", settings, django_db_blocker)


def sqlite_file(alias: str) -> Path:
    return Path(str(connections[alias].settings_dict["NAME"]))


def _alias(alias: str, settings: dict[str, Any], blocker: Any) -> Iterator[str]:
    whole = copy.deepcopy(connections["default"].settings_dict)
    whole.update({"OPTIONS": {}, "PORT": "", "HOST": "", "USER": "", "PASSWORD": "", "CONN_MAX_AGE": None, **settings})
    connections.databases[alias] = whole
    with blocker.unblock():
        # Not `migrate`: its signals have other apps write to the default database, which may not be there yet.
        with connections[alias].schema_editor() as editor:
            for model in apps.get_app_config("stores").get_models():
                editor.create_model(model)
        try:
            yield alias
        finally:
            connections[alias].close()
            del connections.databases[alias]
            del connections[alias]
