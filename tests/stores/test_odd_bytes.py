"""NUL, broken Unicode, slashes and 2 kB in ids, queries, paths and bodies: 4xx, never the server's fault.

SQLite takes nearly everything; PostgreSQL refuses NUL, and texts that are longer than their column.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.servers import ROOT

pytestmark = pytest.mark.process


def test_no_route_fails_on_postgresql(new_postgres: Callable[[str], str], tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMI_")} | {
        "DATABASE_URL": new_postgres("odd_bytes"),
        "DJANGO_SETTINGS_MODULE": "omi.settings",
        "OMI_DATA_DIR": str(tmp_path),
        "OMI_LOG_LEVEL": "CRITICAL",
        "ALLOWED_HOSTS": "testserver",
    }
    command = [sys.executable, "-m", "tests.stores.odd_bytes"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["sent"] > 500
    assert not told["wrong"], "\n".join(map(str, told["wrong"]))
