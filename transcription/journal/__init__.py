"""The journal: every byte of a session's audio on disk before anything else sees it.

``store`` is the layout and life of a session's folder, ``writer`` appends, ``reader`` gives decoded audio back.
"""

from __future__ import annotations

from transcription.journal.reader import Reader, read_pcm
from transcription.journal.store import (
    Entry,
    find,
    for_conversation,
    forget_user,
    left_of,
    orphans,
    release,
    sessions,
    sweep,
)
from transcription.journal.writer import Journal

__all__ = [
    "Entry",
    "Journal",
    "Reader",
    "find",
    "for_conversation",
    "forget_user",
    "left_of",
    "orphans",
    "read_pcm",
    "release",
    "sessions",
    "sweep",
]
