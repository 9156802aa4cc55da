"""The journal of a session that has ended goes to the audio store; a worker on any host reads it from there.

``closed`` comes before the memory is asked for: from then on a run that needs the audio waits until it was handed over
(or its host was declared lost), instead of making a memory without it. ``hand_over`` may be repeated: it stores the
bytes, then the row says where they are, then the folder goes; whatever dies in between leaves one that counts.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import structlog
from django.db.models import Q

from omi.accounts.erased import AccountErased, require_alive
from omi.core import clock
from omi.core.errors import ErrorKind, ProviderError, StoreError
from omi.core.host import several
from omi.stores import audio
from transcription import journal
from transcription.hosts import heartbeats
from transcription.hosts.models import HostJournal
from transcription.journal import recording, store
from transcription.journal.reader import seconds_on_disk
from transcription.journal.recording import ConversationLike
from transcription.journal.store import Entry, Meta

log = structlog.get_logger(__name__)

PURPOSE = "journal"
State = HostJournal.State


def closed(entry: Entry) -> None:
    """No more audio comes: whoever needs it waits for it. Does nothing on a single host, nor for unwatched sessions."""
    if several() and entry.meta.watch:
        heartbeats.note(entry, State.CLOSED)


def was_lost(session_id: str) -> bool:
    """Whether the session was counted as lost: its host was declared so, and has come back."""
    return several() and HostJournal.objects.filter(pk=session_id, state=State.LOST).exists()


def is_handed(session_id: str) -> bool:
    """Whether the audio store has the session's journal."""
    return several() and HostJournal.objects.filter(pk=session_id, state=State.HANDED).exists()


def gone(session_id: str) -> None:
    """The journal was removed where it lay: nobody waits for it."""
    if several():
        HostJournal.objects.filter(pk=session_id).exclude(state=State.HANDED).delete()


def hand_over_all() -> int:
    """Hand over every journal of this host whose session has ended; how many. One that cannot go now stays for the next
    time."""
    done = 0
    for entry in store.sessions():
        try:
            done += hand_over(entry)
        except ProviderError as error:
            log.warning("journal_not_handed_over", session=entry.session_id, error=error.code)
            break  # the store is away: it is for the others, too
        except Exception as error:
            log.warning("journal_not_handed_over", session=entry.session_id, error=type(error).__name__)
    return done


def hand_over(entry: Entry) -> bool:
    """Put the journal of an ended session into the audio store. False where there is nothing to hand over (yet).

    Raises ProviderError where the audio store is out of reach; the journal then stays where it is.
    """
    if not several() or entry.meta.state == store.OPEN or not entry.meta.watch:
        return False
    lock = entry.lock()
    if lock is None:
        return False  # written by its session, or another process of this host is at it
    try:
        return _hand_over(entry)
    except AccountErased:
        entry.remove()
        gone(entry.session_id)
        return False
    finally:
        entry.unlock(lock)


def _hand_over(entry: Entry) -> bool:
    found = store.load(entry.folder)
    if found is None or found.meta.state == store.OPEN:
        return False
    row = heartbeats.note(found, State.CLOSED)
    if row.state == State.HANDED:  # a process died before it removed the folder
        found.remove()
        return True
    if not found.audio.exists() or not found.audio.stat().st_size:
        found.remove()
        gone(found.session_id)
        return False
    with found.audio.open("rb") as content:
        stored = audio.put(
            found.meta.uid,
            PURPOSE,
            content,
            suffix=".journal",
            keep_for=_keep_for(row, found.meta),
            fence=partial(require_alive, found.meta.uid, found.info.fenced_from),
        )
    fields = {"state": State.HANDED, "audio": stored.name, "meta": asdict(found.meta), "changed_at": clock.now()}
    here = HostJournal.objects.filter(pk=row.pk).exclude(state=State.HANDED)
    moved = here.update(received=round(seconds_on_disk(found), 3), **fields)
    if not moved or not found.folder.exists():  # erased while the bytes travelled
        audio.delete(stored)
        HostJournal.objects.filter(pk=row.pk, audio=stored.name).delete()
        found.remove()
        return False
    found.remove()
    log.info("journal_handed_over", session=found.session_id, size=stored.size)
    return True


def _keep_for(row: HostJournal, meta: Meta) -> timedelta:
    """Until the run that has released it allows; else as long as a journal waits for one."""
    until = row.keep_until
    if until is None and meta.state == store.RELEASED and meta.keep_until:
        until = datetime.fromtimestamp(meta.keep_until, UTC)
    if until is None:
        return timedelta(seconds=store.UNCLAIMED_SECONDS)
    return max(timedelta(), until - clock.now())


def recording_for(uid: str, conversation: ConversationLike, dest: Path) -> Path | None:
    """Return the recording as ``transcription.journal.recording.recording_for``, with the sessions of all hosts.

    Raises StoreError (transient) while the journal of an ended session is still on its way.
    """
    if not several():
        return recording.recording_for(uid, conversation, dest)
    # Before the rows are read: what is handed over meanwhile is found there.
    local = recording.entries(uid, conversation)
    folder = dest.parent / "sessions"
    try:
        handed = _handed(uid, conversation, local, folder)
        try:
            return recording.recording_of([*{**local, **handed}.values()], conversation, dest)
        except FileNotFoundError as error:
            raise _on_its_way("a journal was handed over meanwhile") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _handed(uid: str, conversation: ConversationLike, local: dict[str, Entry], folder: Path) -> dict[str, Entry]:
    """Copies of what the audio store holds of a conversation, by session."""
    rows = HostJournal.objects.filter(uid=uid).filter(
        Q(conversation=conversation.id) | Q(session_id__in=list(conversation.session_ids))
    )
    found: dict[str, Entry] = {}
    for row in rows:
        if row.state == State.CLOSED and row.session_id not in local:
            raise _on_its_way(f"the journal of a session is still on host {row.host}")
        if row.state == State.HANDED and (entry := fetch(row, folder)) is not None:
            found[row.session_id] = entry
    return found


def fetch(row: HostJournal, folder: Path) -> Entry | None:
    """A copy of a handed journal in ``folder``; None where its audio is gone."""
    target = folder / row.session_id
    target.mkdir(parents=True, exist_ok=True)
    try:
        with audio.open(row.audio) as source, (target / "audio.bin").open("wb") as copy:
            shutil.copyfileobj(source, copy, audio.PIECE)
    except audio.AudioNotFound:
        return None
    return Entry(target, Meta(**row.meta))


def of_user(uid: str) -> Sequence[HostJournal]:
    """The handed journals of a user, oldest first."""
    if not several():
        return []
    return list(HostJournal.objects.filter(uid=uid, state=State.HANDED).order_by("changed_at"))


def release(session_id: str, keep_until: datetime | None, uid: str) -> bool:
    """The audio is no longer needed for processing, wherever it lies: it goes at ``keep_until`` (None: now). False if
    unknown."""
    released = journal.release(session_id, keep_until, uid)
    if not several():
        return released
    row = HostJournal.objects.filter(pk=session_id, uid=uid).first()
    if row is None:
        return released
    if row.state != State.HANDED:
        HostJournal.objects.filter(pk=row.pk).update(keep_until=keep_until or clock.now())
        return True
    if keep_until is None or keep_until <= clock.now():
        audio.delete(row.audio)
        row.delete()
        return True
    try:
        audio.keep(audio.get(row.audio), keep_until - clock.now())
    except audio.AudioNotFound:
        row.delete()
    return True


def _on_its_way(sentence: str) -> StoreError:
    return StoreError("audio storage", sentence, kind=ErrorKind.TRANSIENT, code="journal_on_host", retry_after=3.0)
