"""Open tasks and calendar events of a user as iCalendar text (RFC 5545), for calendars that subscribe to it.

A task is a VTODO, and where it is due a VEVENT, too: many calendars show no VTODO.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from django.utils import timezone

from memories.changes import agenda
from memories.models import MemoryRow
from memories.shapes import Event, Memory, event_key
from omi.core.batches import batches

MOST_TASKS: Final = 200
MOST_MEMORIES: Final = 200
"""Memories whose calendar events are shown, the newest ones."""
LONGEST_LINE: Final = 75
"""Octets of a line without its end."""
LONGEST_TEXT: Final = 2000
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\u2028\u2029\ud800-\udfff]")


def feed(uid: str) -> str:
    """The whole calendar, with ``\\r\\n`` at the end of each line."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Omi//Memories//EN", "CALSCALE:GREGORIAN",
             "X-WR-CALNAME:Omi"]  # fmt: skip
    for task in agenda.listed(uid, limit=MOST_TASKS).tasks:
        lines += _task(uid, task)
    for memory, event in _events(uid):
        lines += _event(uid, memory, event)
    lines.append("END:VCALENDAR")
    return "".join(f"{folded(line)}\r\n" for line in lines)


def folded(line: str) -> str:
    """A line in pieces of at most 75 octets, none of which ends within a character."""
    pieces, piece, size = [], "", 0
    for letter in line:
        octets = len(letter.encode())
        if size + octets > LONGEST_LINE:
            pieces.append(piece)
            piece, size = " ", 1
        piece, size = piece + letter, size + octets
    return "\r\n".join([*pieces, piece])


def escaped(text: str) -> str:
    """A value of the type TEXT."""
    text = _CONTROL.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))[:LONGEST_TEXT]
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def _task(uid: str, task: agenda.Task) -> Iterator[str]:
    name = _uid(uid, "task", task.id)
    said = task.said_in[0][0]
    title = escaped(task.item.description)
    yield from ("BEGIN:VTODO", f"UID:{name}", f"DTSTAMP:{_at(said.created_at)}", f"SUMMARY:{title}")
    if said.structured.title:
        yield f"DESCRIPTION:{escaped(said.structured.title)}"
    if task.due_at is not None:
        yield f"DUE:{_at(task.due_at)}"
    yield from ("STATUS:NEEDS-ACTION", "END:VTODO")
    if task.due_at is not None:
        yield from ("BEGIN:VEVENT", f"UID:due-{name}", f"DTSTAMP:{_at(said.created_at)}")
        yield from (f"DTSTART:{_at(task.due_at)}", "DURATION:PT15M", f"SUMMARY:{title}", "TRANSP:TRANSPARENT")
        yield "END:VEVENT"


def _events(uid: str) -> Iterator[tuple[Memory, Event]]:
    rows = MemoryRow.objects.filter(uid=uid, deleted=False, discarded=False).order_by("-created_at", "memory_id")
    names = list(rows.values_list("memory_id", flat=True)[:MOST_MEMORIES])
    told: set[str] = set()
    for part in batches(names, agenda.SLICE):
        for memory in agenda.without_long_transcripts(uid, part):
            for event in memory.structured.events:
                key = event_key(event.title, event.start)
                if not memory.discarded and key not in told:
                    told.add(key)
                    yield memory, event


def _event(uid: str, memory: Memory, event: Event) -> Iterator[str]:
    yield from ("BEGIN:VEVENT", f"UID:{_uid(uid, 'event', event_key(event.title, event.start))}")
    yield from (f"DTSTAMP:{_at(memory.created_at)}", f"DTSTART:{_at(event.start)}")
    yield from (f"DURATION:PT{timedelta(minutes=event.duration).seconds // 60}M", f"SUMMARY:{escaped(event.title)}")
    if event.description:
        yield f"DESCRIPTION:{escaped(event.description)}"
    yield "END:VEVENT"


def _uid(uid: str, kind: str, name: str) -> str:
    """Names the component in whatever calendar, and tells nobody the user's id."""
    return f"{hashlib.sha256(f'{uid}/{kind}/{name}'.encode()).hexdigest()[:32]}@omi"


def _at(moment: datetime) -> str:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return f"{aware.astimezone(UTC):%Y%m%dT%H%M%SZ}".rjust(16, "0")
    except (OverflowError, ValueError):  # in the last hours of the calendar
        return f"{timezone.now():%Y%m%dT%H%M%SZ}"
