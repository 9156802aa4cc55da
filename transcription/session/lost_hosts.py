"""Hosts that died for good: their open sessions are ended with what is known, and what was lost is counted as failed.

A host comes back with its disk as a rule, and its next start recovers everything. One that stays away for
``OMI_HOST_LOST_MINUTES``, or that an operator declares lost (``manage.py hosts --lost ID``), is not waited for: the
memories that need its audio are made of what was heard, and say how many seconds are missing (``accounting``, reason
``host_lost``). Should it return, its journals are recovered all the same and the memories are made anew.
"""

from __future__ import annotations

from datetime import datetime

import structlog
from asgiref.sync import async_to_sync

from omi.accounts.erased import AccountErased
from omi.core import clock
from omi.core.providers import one
from omi.shared_metrics import counters
from transcription import metrics
from transcription.hosts import heartbeats
from transcription.hosts.models import Host, HostJournal
from transcription.journal.store import Entry, Meta, root
from transcription.ports import HOST_LOST, Accounting, Conversation, SessionSink, Stretch

log = structlog.get_logger(__name__)

State = HostJournal.State


class UnknownHost(LookupError):
    """There is no such host, or it is this one."""


def declare(host: str) -> int:
    """Declare a host lost and end its sessions. Returns how many journals were lost. Raises UnknownHost."""
    if not heartbeats.others().filter(pk=host).exists():
        raise UnknownHost(host)
    if Host.objects.filter(pk=host, lost_at__isnull=True).update(lost_at=clock.now()):
        log.error("host_declared_lost", host=host)
    return end_sessions()


def declare_silent() -> int:
    """Declare every host lost that was silent for ``OMI_HOST_LOST_MINUTES``; how many."""
    before = clock.now() - heartbeats.lost_after()
    done = 0
    for host in heartbeats.others().filter(lost_at__isnull=True, seen_at__lt=before):
        if Host.objects.filter(pk=host.pk, lost_at__isnull=True, seen_at__lt=before).update(lost_at=clock.now()):
            log.error("host_declared_lost", host=host.pk, silent_since=host.seen_at.isoformat())
            done += 1
    return done


def end_sessions() -> int:
    """End what lay open on hosts that are lost; how many journals. May be repeated and run on several hosts at once:
    what is asked of the sink changes nothing the second time, and one of them counts."""
    lost = Host.objects.filter(lost_at__isnull=False).values("pk")
    done = 0
    for row in HostJournal.objects.filter(host__in=lost, state__in=heartbeats.HERE):
        try:
            result = _end(row) if row.state == State.OPEN else None
        except Exception as error:  # a store is away: the next heartbeat tries again
            log.warning("lost_session_not_ended", session=row.session_id, error=type(error).__name__)
            continue
        here = HostJournal.objects.filter(pk=row.pk, state=row.state, host=row.host)
        if here.update(state=State.LOST, changed_at=clock.now()):
            done += 1
            log.error("journal_lost", session=row.session_id, host=row.host, received=row.received, was=row.state)
            if result is not None:
                metrics.session_ended(HOST_LOST, result, recovered=True)
    if done:
        counters.flush()
    return done


def _end(row: HostJournal) -> Accounting | None:
    """Tell the sink of a session whose audio is gone: what was decided was heard, the rest has failed."""
    entry = Entry(root() / "lost", Meta(**row.meta))
    decided = min(row.received, row.decided)
    failed = row.received - decided
    result = Accounting(
        received=row.received,
        transcribed=decided,
        silence=0.0,
        failed=failed,
        reasons={HOST_LOST: failed} if failed > 0 else {},
        missing=[Stretch(round(decided, 3), round(row.received, 3))] if failed > 0 else [],
    )
    sink: SessionSink = one("session_sink")
    try:
        async_to_sync(_finish)(sink, entry, result)
    except AccountErased:
        return None
    return result


async def _finish(sink: SessionSink, entry: Entry, result: Accounting) -> None:
    meta = entry.meta
    if meta.conversation:
        conversation = Conversation(
            id=meta.conversation,
            started_at=datetime.fromisoformat(meta.conversation_started_at),
            offset=meta.offset,
        )
    else:
        conversation = await sink.open(entry.info, watch=meta.watch)
    await sink.finish(entry.info, conversation, reason=HOST_LOST, accounting=result)
