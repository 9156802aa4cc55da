"""The project's settings with a sink that stores nothing: the benchmark measures the live path, not SQLite."""

from __future__ import annotations

from omi.settings import *  # noqa: F403
from omi.settings import PROVIDERS as _PROVIDERS

PROVIDERS = {**_PROVIDERS, "session_sink": {"BACKEND": "bench.sink.NullSink"}}

SECRET_KEY = "bench-only-" + "x" * 50
"""Clients mint their tokens here, the server under test has a folder of its own."""
