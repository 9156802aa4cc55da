"""Fixtures of every test are beside the tests; the environment of the test run is ``tests/settings.py``."""

from __future__ import annotations

from pathlib import PurePath

import hypothesis
import pytest

# No test is timed: a busy machine is no fault of what it tests.
hypothesis.settings.register_profile("omi", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("omi")

pytest_plugins = ["tests.support.services", "tests.support.databases"]

ONE_DEPLOYMENT = ("tests/cloud", "tests/acceptance")
"""Folders whose files share servers that take long to start: one worker runs them all."""

LONG_FIRST = ("tests/cloud", "tests/transcription/process", "tests/pipeline/process", "tests/acceptance")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For ``--dist loadgroup --no-loadscope-reorder``: which tests stay together, and which begin."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_rank)


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _group(item: pytest.Item) -> str:
    folder = str(PurePath(_file(item)).parent)
    return folder if folder in ONE_DEPLOYMENT else _file(item)


def _rank(item: pytest.Item) -> int:
    folder = str(PurePath(_file(item)).parent)
    return LONG_FIRST.index(folder) if folder in LONG_FIRST else len(LONG_FIRST)
