"""Fixtures of every test are beside the tests; the environment of the test run is ``tests/settings.py``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from django.db import connection
from xdist.scheduler import LoadFileScheduling

from memories.console import triggers

# No test is timed: a busy machine is no fault of what it tests.
hypothesis.settings.register_profile("omi", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("omi")

pytest_plugins = ["tests.support.services", "tests.support.databases", "tests.support.migrated"]

ONE_DEPLOYMENT = ("tests/cloud/", "tests/acceptance/")
"""Folders whose files share servers that take long to start: one worker runs them all."""

LONG_FIRST = (
    "tests/cloud/",
    "tests/acceptance/",
    "tests/topology/",
    "tests/transcription/process/",
    "tests/pipeline/process/",
)
"""In this order: the two that cannot be shared out begin at once."""

SERVICES = {"postgres_url", "redis_url", "firestore_host", "gcs_url", "postgres_alias", "firestore_project"}
SERVICE_PARAMETERS = {"postgres", "firestore", "bucket"}

MODEL_SUITES = ("tests/engines/", "tests/speakers/")
MODEL_FIXTURES = {"talk", "wav", "conversation", "whisper"}
"""Recordings: who asks for one in these suites gives it to a real speech or voice model."""


class _ByDeployment(LoadFileScheduling):
    """A file's tests stay together, and so do the files of ``ONE_DEPLOYMENT``."""

    def _split_scope(self, nodeid: str) -> str:
        shared = next((folder for folder in ONE_DEPLOYMENT if nodeid.startswith(folder)), None)
        return shared or super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return _ByDeployment(config, log)


@pytest.hookimpl(trylast=True)  # after pytest-django, which sorts by the kind of database
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long ones first (with ``--no-loadscope-reorder``), so that no worker ends with one alone."""
    items.sort(key=_rank)


@pytest.hookimpl(tryfirst=True)  # before ``-m`` chooses
def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what stands on a real server ``process``, and what runs a model ``model``: no author has to think of it."""
    parameters = (
        item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
    )
    named = {value for value in parameters if isinstance(value, str)}
    fixtures = set(getattr(item, "fixturenames", ()))
    if item.nodeid.startswith(LONG_FIRST) or SERVICES & fixtures or SERVICE_PARAMETERS & named:
        item.add_marker("process")
    if item.nodeid.startswith(MODEL_SUITES) and MODEL_FIXTURES & fixtures:
        item.add_marker("model")


@pytest.fixture(autouse=True)
def _audit_log_can_be_emptied(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test whose database is emptied behind it (and not rolled back) may write into the audit log, too: its triggers
    would refuse that. They are installed again with the ``post_migrate`` that follows."""
    marker = request.node.get_closest_marker("django_db")
    emptied = "transactional_db" in request.fixturenames or bool(marker and marker.kwargs.get("transaction"))
    if emptied:
        request.getfixturevalue("transactional_db")
    yield
    if emptied:
        for statement in triggers.removal(connection.vendor):
            with connection.cursor() as cursor:
                cursor.execute(statement)


def _rank(item: pytest.Item) -> int:
    first = (rank for rank, folder in enumerate(LONG_FIRST) if item.nodeid.startswith(folder))
    return next(first, len(LONG_FIRST))
