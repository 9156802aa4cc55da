"""Loaded by every Python of a host whose clock is faked: libfaketime's clock_nanosleep refuses what ``time.sleep`` asks
of it ("Invalid argument" now and then), so these processes sleep in select."""

from __future__ import annotations

import select
import time


def _sleep(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        select.select([], [], [], left)
    if not seconds:
        select.select([], [], [], 0)


time.sleep = _sleep
