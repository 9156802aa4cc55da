"""Fixtures of every test are beside the tests; the environment of the test run is ``tests/settings.py``."""

from __future__ import annotations

import re
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

# No test is timed: a busy machine is no fault of what it tests.
hypothesis.settings.register_profile("omi", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("omi")

pytest_plugins = [
    "tests.support.services",
    "tests.support.databases",
    "tests.support.migrated",
    "tests.support.heard_once",
    "tests.support.interpreter",
    "tests.support.journals",
]

ONE_DEPLOYMENT = ("tests/cloud/", "tests/acceptance/", "tests/ops/", "tests/api/test_wire", "tests/contracts/")
"""Files that share servers which take long to start, as Firestore's emulator does: one worker runs them all, the others
need not start them."""

ON_THEIR_OWN = re.compile(
    r"tests/(acceptance/test_(footprint|fuzz|new_sockets|stop)"
    r"|ops/test_(backup|backup_refused|compose|ops_files|retention_report|scrape_cost|shared_metrics))\.py"
)
"""What lies there and does without."""

LONG_FIRST = (
    "tests/cloud/",
    "tests/acceptance/",
    "tests/ops/",
    "tests/topology/",
    "tests/console/test_incidents.py",
    "tests/transcription/process/",
    "tests/pipeline/process/",
    "tests/evaluation/test_gate.py",
    "tests/contracts/",
    "tests/speakers/",
    "tests/engines/",
    "tests/vendors_sdk/",
)
"""In this order, then what takes least: what cannot be shared out begins at once, and no worker ends with one alone."""

REAL_PROCESSES = (
    "tests/cloud/",
    "tests/acceptance/",
    "tests/topology/",
    "tests/transcription/process/",
    "tests/pipeline/process/",
)

SERVICES = {
    "postgres_url",
    "new_postgres",
    "redis_url",
    "firestore_host",
    "gcs_url",
    "postgres_alias",
    "firestore_project",
    "promtool",
    "amtool",
    "process",  # of tests/pipeline/vendor_run.py: whole runs, whose decoder and rules are children
}
SERVICE_PARAMETERS = {"postgres", "firestore", "bucket"}

MODEL_SUITES = ("tests/engines/", "tests/speakers/")
MODEL_FIXTURES = {"talk", "wav", "conversation", "whisper", "campplus_engine"}
"""Recordings: who asks for one in these suites gives it to a real speech or voice model."""
MODEL_CONTRACT = "tests/contracts/test_prerecorded.py"
"""Of the vendors under it, ``local`` is the model of this machine."""


class _ByDeployment(LoadFileScheduling):
    """A file's tests stay together, and so do the files of ``ONE_DEPLOYMENT``."""

    def _split_scope(self, nodeid: str) -> str:
        shared = next((files for files in ONE_DEPLOYMENT if nodeid.startswith(files)), None)
        return shared if shared and not ON_THEIR_OWN.match(nodeid) else super()._split_scope(nodeid)


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
    if item.nodeid.startswith(REAL_PROCESSES) or SERVICES & fixtures or SERVICE_PARAMETERS & named:
        item.add_marker("process")
    heard = item.nodeid.startswith(MODEL_SUITES) and MODEL_FIXTURES & fixtures
    if heard or (item.nodeid.startswith(MODEL_CONTRACT) and "local" in named):
        item.add_marker("model")


def _rank(item: pytest.Item) -> tuple[int, bool]:
    first = (rank for rank, folder in enumerate(LONG_FIRST) if item.nodeid.startswith(folder))
    return next(first, len(LONG_FIRST)), bool(ON_THEIR_OWN.match(item.nodeid))
