"""What reaches journals on other hosts' disks: a host is asked by a row, does it at its next heartbeat, and confirms.

Nothing travels between hosts but these rows. A host that does not answer is named to whoever asked; one that was
declared lost is not waited for, but finds what it was asked should it ever return.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import structlog

from omi.core import clock
from omi.core.host import host_id, several
from omi.stores import audio
from transcription.hosts import heartbeats
from transcription.hosts.models import HostJournal, HostRequest
from transcription.journal import store

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 20.0
"""How long ``look`` waits for the hosts: a few heartbeats."""
Kind, State = HostRequest.Kind, HostJournal.State


class HostsOwe(OSError):
    """Some hosts have not confirmed yet; ``code`` names them."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self.hosts = sorted(set(hosts))
        self.code = f"not confirmed by {', '.join(self.hosts)}"
        super().__init__(self.code)


def erase(uid: str, sessions: Iterable[str] = ("",)) -> dict[str, int]:
    """Have every other host erase the journals of these sessions (all of the user's) and delete what is handed.

    Returns what was confirmed, by host (a lost one with "lost:" before its name, which stays asked). Raises HostsOwe
    while a host has not confirmed; called again it asks nobody twice, and still waits where it is told no session (the
    documents that name them may be gone by then).
    """
    if not several():
        return {}
    folder = store.user_folder(uid).name
    wanted = sorted(set(sessions))
    for name in wanted:
        forget_handed(uid, name)
    hosts = list(heartbeats.others())
    for host in hosts:
        for name in wanted:
            HostRequest.objects.get_or_create(
                host=host.id, kind=Kind.ERASE, folder=folder, session_id=name, defaults={"asked_at": clock.now()}
            )
    asked = HostRequest.objects.filter(kind=Kind.ERASE, folder=folder)
    lost = {host.id for host in hosts if host.lost_at is not None}
    undone = set(asked.filter(done_at__isnull=True).values_list("host", flat=True))
    if undone - lost:
        raise HostsOwe(undone - lost)
    for name in {*wanted, *asked.values_list("session_id", flat=True)}:
        forget_handed(uid, name)  # what was handed over while the hosts were asked
    asked.filter(done_at__isnull=False).delete()
    confirmed = {host.id: 1 for host in hosts if host.id not in undone}
    return confirmed | {f"lost: {name}": 1 for name in undone}


def forget_handed(uid: str, session_id: str = "") -> int:
    """Delete handed journals, bytes and rows, and the rows of all that lie elsewhere; how many.

    Raises ProviderError.
    """
    if not several():
        return 0
    rows = HostJournal.objects.filter(uid=uid)
    if session_id:
        rows = rows.filter(pk=session_id)
    for row in rows.filter(state=State.HANDED):
        audio.delete(row.audio)
    return int(rows.delete()[0])


def look(uid: str, patience: float = ANSWER_SECONDS) -> dict[str, int]:
    """Return how many journals of a user the other hosts' disks hold; those that do not answer in time count as one
    each."""
    if not several():
        return {}
    folder, now = store.user_folder(uid).name, clock.now()
    hosts = [host.id for host in heartbeats.others().filter(lost_at__isnull=True)]
    for name in hosts:
        HostRequest.objects.update_or_create(
            host=name, kind=Kind.LOOK, folder=folder, session_id="", defaults={"asked_at": now, "done_at": None}
        )
    asked = HostRequest.objects.filter(kind=Kind.LOOK, folder=folder, host__in=hosts)
    until = time.monotonic() + patience
    while asked.filter(done_at__isnull=True).exists() and time.monotonic() < until:
        time.sleep(0.3)
    found = {
        f"journals on {row.host}" + ("" if row.done_at else " (no answer)"): row.left if row.done_at else 1
        for row in asked
    }
    asked.delete()
    return found


def answer() -> int:
    """Do what this host was asked for; how many requests."""
    done = 0
    for request in HostRequest.objects.filter(host=host_id(), done_at__isnull=True).order_by("pk")[:200]:
        try:
            left = _carry_out(request)
        except OSError as error:
            log.warning("request_not_carried_out", kind=request.kind, error=type(error).__name__)
            continue
        HostRequest.objects.filter(pk=request.pk).update(done_at=clock.now(), left=left)
        done += 1
        if request.kind == Kind.ERASE:
            _take_up(request.folder)
    return done


def _carry_out(request: HostRequest) -> int:
    folder = store.root() / request.folder
    if folder.parent != store.root() or request.folder == store.REMOVED:
        return 0
    if request.kind == Kind.ERASE:
        if request.session_id:
            entry = store.load(folder / request.session_id)
            if entry is not None and entry.folder.parent == folder:
                entry.remove()
        else:
            store.forget_folder(folder)
    if request.session_id:
        return int((folder / request.session_id).exists())
    return store.left_in(folder)


def _take_up(folder: str) -> None:
    """The erasure is finished at once where this was the last host that it waited for."""
    from django_q.tasks import async_task

    if not HostRequest.objects.filter(kind=Kind.ERASE, folder=folder, done_at__isnull=True).exists():
        async_task("memories.upkeep.erasures")
