"""Times as support reads them: how long ago, and exactly. Durations and sizes in words."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

_UNITS = ((86400.0 * 365, "y"), (86400.0 * 30, "mo"), (86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def length(seconds: float | None) -> str:
    """Return seconds in words: ``0.42 s``, ``12.3 s``, ``4 min 05 s``, ``2 h 03 min``, ``3 d 4 h``."""
    if seconds is None:
        return "–"
    value = max(0.0, seconds)
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def relative(moment: datetime, now: datetime | None = None) -> str:
    """Return how far a moment is from now: ``2 h ago`` or ``in 3 d``."""
    seconds = ((now or timezone.now()) - moment).total_seconds()
    size = abs(seconds)
    text = next((f"{int(size // unit)} {name}" for unit, name in _UNITS if size >= unit), f"{int(size)} s")
    if size < 1:
        return "now"
    return f"{text} ago" if seconds >= 0 else f"in {text}"


def absolute(moment: datetime) -> str:
    """Return a moment to the second in UTC, such as ``2026-11-30 10:41:34 UTC``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def shown(moment: datetime | None) -> SafeString | str:
    """Return a moment for a page: in UTC, how long ago, and in the reader's own zone where that is another one."""
    if moment is None:
        return "–"
    zone = timezone.get_current_timezone_name()
    here = "" if zone == "UTC" else f"; {timezone.localtime(moment):%m-%d %H:%M} {zone}"
    return format_html(
        '<time datetime="{}">{}</time> <span class="quiet">({}{})</span>',
        moment.isoformat(),
        absolute(moment),
        relative(moment),
        here,
    )


def stamp(moment: datetime) -> SafeString:
    """Short, for a row of a table: month, day and time to the millisecond in UTC."""
    text = f"{moment.astimezone(UTC):%m-%d %H:%M:%S.%f}"[:-3]
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), text)


def both(moment: datetime) -> str:
    """Return a moment as plain text: how long ago, and exactly in UTC."""
    return f"{relative(moment)} ({absolute(moment)})"


def clock(seconds: float) -> str:
    """Return a moment in a recording as ``3:07`` or ``1:02:03``."""
    whole = int(max(0.0, seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def size(count: int) -> str:
    """Return a number of bytes in kB, from 100,000 bytes on in MB (decimal)."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"
