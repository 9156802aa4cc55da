"""The one way to a decoder in the web process: a child of up to 2 GB for each file that somebody uploads."""

from __future__ import annotations

from contextlib import AbstractContextManager

from django.conf import settings

from omi.core.slots import DECODERS

PATIENCE = 10.0
"""Seconds that an upload waits for its turn: the head of a recording is decoded in one or two."""
MAY_WAIT = 4
"""Uploads of one user that wait; the next one is told to come back."""


def decoding(uid: str) -> AbstractContextManager[None]:
    """Hold one of the process's places for decoding a user's file; raises omi.core.slots.Busy."""
    return DECODERS.held(
        uid,
        per_user=settings.OMI_DECODERS_PER_USER,
        in_all=settings.OMI_DECODERS_PER_PROCESS,
        patience=PATIENCE,
        may_wait=MAY_WAIT,
    )
