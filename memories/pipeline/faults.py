"""Places where the tests can kill or freeze a worker. Does nothing unless ``OMI_FAULTS_DIR`` names a folder.

A file ``<point>.kill`` in it makes the first process that passes the point die by SIGKILL, ``<point>.stop`` freezes it
by SIGSTOP. The file is removed first, so each fault happens once.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from omi.env import env_str

_FOLDER = env_str("OMI_FAULTS_DIR")
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def point(name: str) -> None:
    if not _FOLDER:
        return
    for action, number in _SIGNALS.items():
        for file in (Path(_FOLDER) / f"{name}.{action}", Path(_FOLDER) / f"{name}.{action}.always"):
            if not file.exists():
                continue
            if file.suffix != ".always":
                try:
                    file.unlink()
                except FileNotFoundError:  # another worker was faster
                    continue
            os.kill(os.getpid(), number)
