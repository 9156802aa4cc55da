"""Fixtures of every test are beside the tests; the environment of the test run is ``tests/settings.py``."""

from __future__ import annotations

pytest_plugins = ["tests.support.services", "tests.support.databases"]
