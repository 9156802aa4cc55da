"""The project's settings with a sink that stores nothing: the benchmark measures the live path, not SQLite."""

from __future__ import annotations

from omi.settings import *  # noqa: F403
from omi.settings import PROVIDERS as _PROVIDERS

PROVIDERS = {**_PROVIDERS, "session_sink": {"BACKEND": "bench.sink.NullSink"}}
