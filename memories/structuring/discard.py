"""When a talk is not worth a memory. One set of rules for every structurer; an error anywhere keeps the talk.

Kept, whatever a model says: a talk that the user asked for (``force``), more than 100 words, a reminder, and anything
with an action item or a date.
"""

from __future__ import annotations

from collections.abc import Sequence

from memories.shapes import Structured
from memories.structuring.base import StructureRequest
from memories.structuring.reminders import asks_to_be_reminded
from memories.structuring.words import STOP_WORDS, words
from transcription.segments import Segment, plain_text

ALWAYS_KEPT_WORDS = 100
"""More words than this are always kept (the original's rule)."""

MIN_CONTENT_WORDS = 4
"""Fewer different words with a meaning than this, without anything to do, is small change ("yes, okay, thank you")."""

_FILLERS = frozenset(
    """
    hmm mhm ah oh hey hi bye alright nice cool great fine uhuh huh wow test testing
""".split()
)


def must_keep(request: StructureRequest) -> str:
    """Return why this talk is kept without asking anybody; empty when it has to be judged."""
    text = plain_text(request.segments)
    if request.force:
        return "asked for by the user"
    if len(text.split()) > ALWAYS_KEPT_WORDS:
        return f"more than {ALWAYS_KEPT_WORDS} words"
    return "a reminder" if asks_to_be_reminded(text) else ""


def why_discard(request: StructureRequest, structured: Structured) -> str:
    """The reason to discard after structuring by rule; empty to keep."""
    if not request.segments or not plain_text(request.segments).strip():
        return "" if request.force else "nothing was said"
    if must_keep(request) or structured.action_items or structured.events:
        return ""
    count = len(content_words(request.segments))
    return f"only {count} different words with a meaning" if count < request.discard_below else ""


def content_words(segments: Sequence[Segment]) -> set[str]:
    """Return the distinct words that say something: neither stop words nor fillers."""
    return set(words(plain_text(segments))) - STOP_WORDS - _FILLERS
