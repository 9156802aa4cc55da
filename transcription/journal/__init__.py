"""The journal: every byte of a session's audio on disk before anything else sees it.

``store`` is the layout and life of a session's folder, ``records`` the format of its audio (``version1`` an earlier
one), ``writer`` appends, ``reader`` gives decoded audio back.
"""

from __future__ import annotations

from transcription.journal.reader import Reader, as_sent, read_pcm
from transcription.journal.store import (
    Entry,
    claim,
    find,
    for_conversation,
    forget_user,
    orphans,
    release,
    remaining,
    sessions,
    sweep,
)
from transcription.journal.writer import Journal

__all__ = [
    "Entry",
    "Journal",
    "Reader",
    "as_sent",
    "claim",
    "find",
    "for_conversation",
    "forget_user",
    "orphans",
    "read_pcm",
    "release",
    "remaining",
    "sessions",
    "sweep",
]
