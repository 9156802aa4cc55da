"""Rows that only the program writes: staff look at them, and act through the memory's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
else:
    Base = admin.ModelAdmin


class ReadOnlyAdmin(Base):
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


GOOD = {"success", "completed", "done", "expected_silence"}
BAD = {"failed", "upstream_error", "timeout", "quota", "config_error", "invalid_input", "empty_unexpected"}
BUSY = {"queued", "running", "waiting", "in_progress", "pending"}


def badge(word: str | None) -> SafeString:
    """A state as a word in a coloured box; the word alone says everything."""
    text = word or "none"
    tone = "good" if text in GOOD else "bad" if text in BAD else "busy" if text in BUSY else "plain"
    return format_html('<span class="badge badge-{}">{}</span>', tone, text.replace("_", " "))


def short_id(identity: str) -> SafeString:
    """The beginning of an id; the whole of it when pointed at."""
    short = identity if len(identity) <= 14 else f"{identity[:8]}…"
    return format_html('<span title="{}">{}</span>', identity, short)
