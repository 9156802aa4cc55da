"""States as coloured words, and ids that are short until they are pointed at."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString

GOOD = {"success", "completed", "done", "expected_silence"}
BAD = {"failed", "upstream_error", "timeout", "quota", "config_error", "invalid_input", "empty_unexpected"}
BUSY = {"queued", "running", "waiting", "in_progress", "pending"}


def tone(word: str | None) -> str:
    """Return ``good``, ``bad``, ``busy`` or ``plain``: the colour of a state."""
    text = word or ""
    return "good" if text in GOOD else "bad" if text in BAD else "busy" if text in BUSY else "plain"


def badge(word: str | None) -> SafeString:
    """A state as a word in a coloured box; the word alone says everything."""
    text = word or "none"
    return format_html('<span class="badge badge-{}">{}</span>', tone(text), text.replace("_", " "))


def short_id(identity: str) -> SafeString:
    """The beginning of an id; the whole of it when pointed at."""
    short = identity if len(identity) <= 14 else f"{identity[:8]}…"
    return format_html('<span title="{}">{}</span>', identity, short)
