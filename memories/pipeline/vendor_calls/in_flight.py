"""The calls that this process has made and that have not been answered yet, by the key of their row.

It is a module of its own so that whoever asks "does this call still run here?" needs nothing of how calls are run.
"""

from __future__ import annotations

import os
from typing import Final

_calls: Final[set[int]] = set()

os.register_at_fork(after_in_child=_calls.clear)


def add(call_id: int) -> None:
    """Call ``call_id`` runs in a thread of this process from now on."""
    _calls.add(call_id)


def remove(call_id: int) -> None:
    """Call ``call_id`` has ended, and whatever came of it is stored."""
    _calls.discard(call_id)


def contains(call_id: int) -> bool:
    """Whether call ``call_id`` still runs in this process."""
    return call_id in _calls


def count() -> int:
    """How many calls run in this process."""
    return len(_calls)
