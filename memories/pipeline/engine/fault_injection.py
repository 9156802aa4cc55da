"""Places where the tests can kill or freeze a worker. Does nothing unless ``OMI_FAULTS_DIR`` names a folder.

A file ``<point>.kill`` in it makes the first process that passes the point die by SIGKILL, ``<point>.stop`` freezes it
by SIGSTOP, ``<point>.hang`` makes it work for ever without letting any other thread run. The file is removed first, so
each fault happens once.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

from omi.core.env import env_str

_FOLDER = env_str("OMI_FAULTS_DIR")
_ACTIONS: dict[str, Callable[[], object]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "hang": lambda: re.match("(a+)+$", "a" * 60 + "b"),  # 2**60 steps in C, under the interpreter's lock
}


def point(name: str) -> None:
    """Kill or freeze this worker if a test left a file for the place ``name``; one without ``.always`` works once."""
    if not _FOLDER:
        return
    for action, do in _ACTIONS.items():
        for file in (Path(_FOLDER) / f"{name}.{action}", Path(_FOLDER) / f"{name}.{action}.always"):
            if not file.exists():
                continue
            if file.suffix != ".always":
                try:
                    file.unlink()
                except FileNotFoundError:  # another worker was faster
                    continue
            do()
