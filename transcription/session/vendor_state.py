"""What a vendor's session can be doing, and how long it waits for what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

CONNECT_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 4.0
"""Deepgram closes after 10 s without audio, Soniox after 20 s."""
STALL_SECONDS = 10.0
"""No word from the vendor for this long while it was sent audio: it hangs."""
BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.5, 15.0


class State(StrEnum):
    """What a vendor's session is doing."""

    IDLE = "idle"
    CONNECTING = "connecting"
    LIVE = "live"
    WAITING = "waiting"  # between two tries
    OFF = "off"  # refused for good in this session
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Tuning:
    """Waits, shorter in tests."""

    connect: float = CONNECT_SECONDS
    keep_alive: float = KEEP_ALIVE_SECONDS
    stall: float = STALL_SECONDS
    backoff: float = BACKOFF_SECONDS
    max_backoff: float = MAX_BACKOFF_SECONDS
