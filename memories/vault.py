"""A user's memories as a folder of linked Markdown notes, whole or what changed since: for Obsidian and its like.

One note a memory, one a person. A note's file keeps its name whatever its title becomes, so that an archive unpacked
over an older one renews it; ``vault.json`` lists the notes there are, so that what was deleted can be removed.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog
from django.db.models import Q
from django.utils import timezone

from memories import downloads
from memories.labels import store
from memories.mirror.models import MemoryRow, PersonRow
from memories.privacy.zip_stream import Pieces, Sink
from memories.repository import memories as repository
from memories.repository.large import Unreadable
from memories.search.models import SearchPerson
from omi.accounts.users import UserDoc, get_user, zone
from omi.core.errors import ProviderError
from omi.stores import audio
from speakers import people

log = structlog.get_logger(__name__)

OVERLAP: Final = timedelta(minutes=5)
"""How far a cursor lies before the moment it was made: a write that was under way then is in the next archive."""
README: Final = """# Your memories

A folder of notes: unpack it anywhere, or over what you unpacked before. `memories/` has a note for each memory,
`people/` one for each person you named, linked with each other. `vault.json` lists every note there is (what is not in
it was deleted) and holds the cursor with which you get what has changed since: `GET /v1/users/vault?since=CURSOR`.
"""


class BadCursor(ValueError):
    """The cursor is none that an archive of this server gave (422)."""


def vault(uid: str, since: str = "") -> io.BufferedReader:
    """A readable, not seekable ZIP file. ``since``: the cursor of an earlier archive; "" is for everything.

    Raises BadCursor; while it is read ProviderError where a store is out of reach.
    """
    user, labels = get_user(uid), store.names(uid)
    moment = _moment(since, _taste(user, labels)) if since else None
    return io.BufferedReader(Pieces(_zip(uid, user, labels, moment)), buffer_size=audio.PIECE)


def _zip(uid: str, user: UserDoc, labels: Mapping[str, str], since: datetime | None) -> Generator[bytes]:
    sink = Sink()
    cursor = f"{(timezone.now() - OVERLAP).isoformat()}~{_taste(user, labels)}"
    clock, names = zone(user), people.names(uid)
    notes, unreadable = dict[str, str](), list[str]()
    changed = set[str]() if since is None else _changed(uid, since)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        archive.writestr("README.md", README)
        rows = MemoryRow.objects.filter(uid=uid, deleted=False, discarded=False).order_by("created_at", "pk")
        for row in rows.values("memory_id", "created_at", "started_at", "mirrored_at").iterator(chunk_size=500):
            name = notes[row["memory_id"]] = _file_of(row, clock)
            if since is None or row["mirrored_at"] >= since or row["memory_id"] in changed:
                try:
                    memory = repository.find_memory(uid, row["memory_id"])
                except (Unreadable, ProviderError) as error:
                    if isinstance(error, ProviderError) and error.retryable:
                        raise
                    log.warning("note_unreadable", memory_id=row["memory_id"], error=type(error).__name__)
                    unreadable.append(row["memory_id"])
                    continue
                if memory is None or memory.deleted or memory.discarded:  # it went while the archive was made
                    del notes[row["memory_id"]]
                    continue
                archive.writestr(name, downloads.note(memory, names, user.name, clock, labels))
                yield from sink.take()
        persons = {f"people/{person_id}.md": _person(uid, person_id, name, notes) for person_id, name in names.items()}
        for name, text in persons.items():
            archive.writestr(name, text)
            yield from sink.take()
        told: dict[str, Any] = {"cursor": cursor, "notes": sorted([*notes.values(), *persons])}
        if unreadable:
            told["unreadable"] = unreadable
        archive.writestr("vault.json", json.dumps(told, indent=1))
    yield from sink.take()


def _changed(uid: str, since: datetime) -> set[str]:
    """Memories in which a person speaks who was renamed or deleted since."""
    renamed = PersonRow.objects.filter(uid=uid).filter(Q(updated_at__gte=since) | Q(mirrored_at__gte=since))
    spoken = SearchPerson.objects.filter(
        entry__uid=uid, person_id__in=list(renamed.values_list("person_id", flat=True))
    )
    return set(spoken.values_list("entry__memory_id", flat=True))


def _person(uid: str, person_id: str, name: str, notes: dict[str, str]) -> str:
    """A person's note: the memories in which they speak, newest first."""
    spoken = SearchPerson.objects.filter(entry__uid=uid, person_id=person_id).order_by("-entry__created_at")
    listed = [notes[found] for found in spoken.values_list("entry__memory_id", flat=True) if found in notes]
    lines = ["---", f"aliases: [{json.dumps(name, ensure_ascii=False)}]", "---", f"# {downloads.literal(name)}", ""]
    return "\n".join([*lines, *(f"- [[{file.removesuffix('.md')}]]" for file in listed)]).rstrip("\n") + "\n"


def _file_of(row: Mapping[str, Any], clock: ZoneInfo) -> str:
    return f"memories/{(row['started_at'] or row['created_at']).astimezone(clock):%Y-%m-%d} {row['memory_id']}.md"


def _taste(user: UserDoc, labels: Mapping[str, str]) -> str:
    """Names what many notes depend on: another name or zone of the user, or of a folder or tag, makes all notes
    anew."""
    told = "".join(f"\0{name}\0{label}" for name, label in sorted(labels.items()))
    return hashlib.sha256(f"{user.name}\0{user.time_zone}{told}".encode()).hexdigest()[:8]


def _moment(cursor: str, now: str) -> datetime | None:
    """The moment that a cursor names; None where every note is another one since. ``now``: the ``_taste`` of now."""
    text, _, taste = cursor.partition("~")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadCursor("since is not a cursor of a vault") from error
    if moment.tzinfo is None or len(taste) != 8:
        raise BadCursor("since is not a cursor of a vault")
    return moment if taste == now else None
