"""The heartbeat of a host: its row, and the rows of the journals that lie on its disk."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from omi.core import clock
from omi.core.host import host_id, several
from omi.core.pruning import delete_in_pieces
from omi.stores.models import AudioObject
from transcription.hosts.models import Host, HostJournal
from transcription.journal import store
from transcription.journal.reader import seconds_on_disk
from transcription.journal.store import Entry

log = structlog.get_logger(__name__)

SILENT_SECONDS = 60.0
"""A host that was not heard of for so long is called silent: it may be cut off, or dead."""
STOPPED_AFTER = timedelta(days=1)
"""A host that takes itself for the only one forgets another that was not heard of for so long."""
GROWING = ("conversation", "received", "decided", "meta", "changed_at")
"""What changes of a journal while its session goes on."""
State = HostJournal.State
HERE = (State.OPEN, State.CLOSED)
"""States of a journal whose audio lies on its host."""


def kept() -> bool:
    """Whether hosts say that they live: where there are several, and wherever others can reach the database. Two that
    each take themselves for the only one are noticed by it."""
    return several() or connection.vendor == "postgresql"


def beat() -> None:
    """This host lives. One that was declared lost and comes back is no longer lost."""
    now = clock.now() if several() else Now()  # whose clocks are not compared agree on the database's all the same
    fields = {"seen_at": now, "clock_behind": round(clock.behind(), 2), "lost_at": None}
    returned = Host.objects.filter(pk=host_id(), lost_at__isnull=False).exists()
    if not Host.objects.filter(pk=host_id()).update(**fields):
        Host.objects.get_or_create(id=host_id(), defaults={**fields, "began_at": now})
    if returned:
        log.warning("lost_host_returned", host=host_id())


def leave() -> bool:
    """Take this host out of the list where nothing lies on its disk. False where something does: it is waited for.

    Another process of the same host that still runs puts it back with its next heartbeat.
    """
    if any(entry.meta.watch for entry in store.sessions()):
        return False
    Host.objects.filter(pk=host_id()).delete()
    return True


def uncounted() -> list[str]:
    """Names of other hosts that live on this database although this one takes itself for the only one; empty where
    several hosts are expected."""
    if several() or not kept():
        return []
    living = others().filter(seen_at__gte=Now() - timedelta(seconds=SILENT_SECONDS))
    return list(living.values_list("pk", flat=True))


def retire() -> None:
    """The only host has stopped: its row goes. It waits for nobody, and nobody waits for it."""
    Host.objects.filter(pk=host_id()).delete()


def forget_stopped() -> int:
    """Delete the rows of other hosts that were not heard of for long and on whose disk nothing is known to lie, as a
    data folder leaves that was made anew."""
    waited_for = HostJournal.objects.filter(state__in=HERE).values("host")
    return delete_in_pieces(others().filter(seen_at__lt=Now() - STOPPED_AFTER).exclude(pk__in=waited_for))


def silent(host: Host, now: datetime) -> bool:
    """Whether a host has not been heard of for a while."""
    return host.seen_at < now - timedelta(seconds=SILENT_SECONDS)


def others() -> QuerySet[Host]:
    """Every host but this one."""
    return Host.objects.exclude(pk=host_id()).order_by("id")


def follow() -> int:
    """Bring the rows of this host's journals up to date with its disk. Returns how many journals lie on it."""
    rows = {row.session_id: row for row in HostJournal.objects.filter(host=host_id()).exclude(state=State.HANDED)}
    seen, grown = 0, []
    for entry in store.sessions():
        if not entry.meta.watch:  # text for a client that is there: nobody will ask for its audio
            continue
        seen += 1
        row = rows.pop(entry.session_id, None)
        if row is None:
            note(entry)
        elif row.state == State.OPEN and entry.meta.state == store.OPEN:
            if _changed(row, entry):
                fields = _fields(entry, row.state)
                for name in GROWING:
                    setattr(row, name, fields[name])
                grown.append(row)
        elif row.state == State.LOST or _changed(row, entry):
            HostJournal.objects.filter(pk=row.pk, state=row.state).update(**_fields(entry, row.state))
    HostJournal.objects.bulk_update(grown, GROWING, batch_size=200)  # never the state: that may have moved on
    # Their folders are gone: nothing was said in them, or they were released or erased.
    HostJournal.objects.filter(pk__in=[name for name, row in rows.items() if row.state in HERE]).delete()
    return seen


def note(entry: Entry, state: str = "") -> HostJournal:
    """Make the row of a journal on this host, or bring it up to date. ``state``: a new one."""
    fields = _fields(entry, state)
    row, made = HostJournal.objects.get_or_create(
        session_id=entry.session_id, defaults={**fields, "uid": entry.meta.uid, "host": host_id()}
    )
    if not made and row.state != State.HANDED and (state or _changed(row, entry)):
        if state and row.state == State.OPEN:
            fields["keep_until"] = None  # a run that released it had not seen all of it
        HostJournal.objects.filter(pk=row.pk).exclude(state=State.HANDED).update(**fields)
        row.refresh_from_db()
    return row


def forget_swept() -> int:
    """Delete the rows of handed journals whose audio went at its deadline."""
    there = AudioObject.objects.filter(deleted_at__isnull=True).values("name")
    return delete_in_pieces(HostJournal.objects.filter(state=State.HANDED).exclude(audio__in=there))


def forget_lost(kept: timedelta = timedelta(days=30)) -> int:
    """Delete what was noted of journals that were lost long ago, and of hosts that were."""
    before = clock.now() - kept
    done = delete_in_pieces(HostJournal.objects.filter(state=State.LOST, changed_at__lt=before))
    return done + delete_in_pieces(Host.objects.filter(lost_at__lt=before))


def lost_after() -> timedelta:
    """Return for how long a host may be silent before it is declared lost."""
    return timedelta(minutes=settings.OMI_HOST_LOST_MINUTES)


def _fields(entry: Entry, state: str) -> dict[str, object]:
    found = entry.meta.state
    now_is = State.OPEN if found == store.OPEN and state != State.CLOSED else State.CLOSED
    return {
        "state": now_is,
        "host": host_id(),
        "conversation": entry.meta.conversation,
        "received": round(seconds_on_disk(entry), 3),
        "decided": round(entry.progress()[0], 3),
        "meta": asdict(entry.meta),
        "changed_at": clock.now(),
    }


def _changed(row: HostJournal, entry: Entry) -> bool:
    """Whether audio, words or the conversation have come since the row was written; a closed session gets none."""
    if row.state == State.CLOSED:
        return False
    return bool(
        entry.meta.state != store.OPEN
        or row.conversation != entry.meta.conversation
        or row.decided < entry.progress()[0] - 0.001
        or row.received < seconds_on_disk(entry) - 0.001
    )
