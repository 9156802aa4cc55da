"""Open files and sockets of this process: as many as the system allows, and some kept back for health checks.

At the limit the system refuses new connections without a word, and a health check with them: the process is killed
though it is well. So newcomers are refused earlier, with a sentence.
"""

from __future__ import annotations

import os
import resource

WANTED = 65_536
RESERVE = 64
"""Descriptors kept for health checks, for closing what is open in order, and for the database."""


def raise_limit() -> int:
    """Raise the limit of open files as high as the hard limit lets us, ``WANTED`` at most. Returns the limit that now
    holds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # some systems name a hard limit that they do not grant
        return soft
    return wanted


def scarce() -> bool:
    """Whether only the reserve is left. The system gives the lowest free number: it tells how many are taken."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return False
    try:
        lowest = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return True
    os.close(lowest)
    return lowest >= soft - min(RESERVE, soft // 8)
