"""The project's settings for ``bench.listen``: without a sink of its own the benchmark measures the live path alone.

``BENCH_SINK=real`` leaves the project's sink in place, so that conversations are stored in the documents store.
"""

from __future__ import annotations

import os

from omi.settings import *  # noqa: F403
from omi.settings import PROVIDERS as _PROVIDERS

_KEPT = os.environ.get("BENCH_SINK") == "real"
PROVIDERS = _PROVIDERS if _KEPT else {**_PROVIDERS, "session_sink": {"BACKEND": "bench.sink.NullSink"}}

SECRET_KEY = "bench-only-" + "x" * 50
"""Clients mint their tokens here, the server under test has a folder of its own."""
