"""Settings of the test run: everything local, in a folder of its own that is gone afterwards.

pytest-django reads the settings before any conftest, so the environment has to be put in order here. A process that a
test starts inherits ``DJANGO_SETTINGS_MODULE``; it gets the plain settings and the environment that the test gave it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile

if "pytest" in sys.modules:
    # Before omi.settings is read. A test that needs another backend overrides PROVIDERS or starts a real process.
    for _name in [name for name in os.environ if name.startswith(("OMI_", "FIRE", "GOOGLE_", "DATABASE_", "REDIS_"))]:
        if _name != "OMI_FULL_SCALE":
            del os.environ[_name]
    _DATA = tempfile.mkdtemp(prefix="omi-tests-")
    atexit.register(shutil.rmtree, _DATA, ignore_errors=True)
    os.environ["OMI_DATA_DIR"] = _DATA
    os.environ["OMI_LOG_LEVEL"] = "WARNING"
    # Tests of rates set their own; every other test is one user who does in a second what takes people an hour.
    for _name in ("REQUESTS", "SEARCHES", "CREATES", "STRANGERS", "SOCKETS"):
        os.environ[f"OMI_{_name}_PER_MINUTE"] = "0"
    # Processes that a test starts have folders of their own; tokens that are minted here must be good there.
    os.environ["SECRET_KEY"] = "tests-only-" + "x" * 50
    # Two test processes on two cores: a thread pool in each would only make them wait for each other.
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

from omi.settings import *  # noqa: F403

if "pytest" in sys.modules:
    # A file, as in production: SQLite's shared memory database answers "locked" where a file waits for its turn.
    DATABASES["default"]["TEST"] = {"NAME": os.path.join(_DATA, "test.sqlite3")}  # noqa: F405, PTH118
    # Each test client builds the middleware anew: it would look at every static file for it, a twelfth of a second.
    WHITENOISE_AUTOREFRESH = True
