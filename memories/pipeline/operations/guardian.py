"""What is left when the supervisor itself dies: its process groups are asked to end, and killed after the grace.

A program of its own without Django: ``python -S -E guardian.py GRACE``. Its standard input is a pipe that the
supervisor alone holds open: lines ``+PID`` and ``-PID`` say which groups there are, and the pipe ends with the
supervisor, however that came about. A worker that hangs is deaf to SIGTERM, and nobody else would end it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time


def main() -> None:
    """Read process groups from stdin (``+id``, ``-id``) until the supervisor is gone, then ask those left to end and
    kill them after the grace (seconds, the first argument)."""
    grace = float(sys.argv[1])
    groups: set[int] = set()
    for line in sys.stdin:
        with contextlib.suppress(ValueError):
            (groups.add if line.startswith("+") else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(OSError):
            os.kill(group, signal.SIGTERM)
    until = time.monotonic() + grace
    while time.monotonic() < until and any(_lives(group) for group in groups):
        time.sleep(0.1)
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
