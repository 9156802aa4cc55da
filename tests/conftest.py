"""Settings of the test run: everything local, in a folder of its own that is gone afterwards."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

_DATA = tempfile.mkdtemp(prefix="omi-tests-")
atexit.register(shutil.rmtree, _DATA, ignore_errors=True)

# Before Django reads its settings. A test that needs another backend overrides PROVIDERS or starts a real process.
for _name in [name for name in os.environ if name.startswith(("OMI_", "FIRE", "GOOGLE_", "DATABASE_", "REDIS_"))]:
    del os.environ[_name]
os.environ["OMI_DATA_DIR"] = _DATA
os.environ["OMI_LOG_LEVEL"] = "WARNING"
