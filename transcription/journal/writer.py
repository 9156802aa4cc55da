"""Appends a session's audio: one sequential ``write`` per batch; once a second the disk is told to keep what all
sessions of the process have written, in a thread.

What is lost at worst: when the process is killed, the batch that has not been written (``BATCH_SECONDS``); when the
machine loses power, what the disk has not been told to keep (one second more). This is the policy of Redis' append-only
file: the write goes to the page cache (tens of microseconds), so it may stand in the event loop; waiting for the disk
may not, so it stands in a thread.

What is written, and how damage stays small: ``records``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary, WeakSet

from transcription.audio.codecs import Codec
from transcription.journal import disk
from transcription.journal.quota import QUOTA
from transcription.journal.records import MAX_PAYLOAD, MAX_TICKS, Record, batches, encode, joined
from transcription.journal.store import FINISHED, Entry, begin, root
from transcription.metrics import JOURNAL_FAILURES
from transcription.ports import Conversation, SessionInfo

logger = logging.getLogger(__name__)

# Threads of its own: a disk that is slow to sync must not hold up anything else that needs a thread.
_DISK = ThreadPoolExecutor(max_workers=4, thread_name_prefix="journal")
SYNC_SECONDS = 0.8
GATHER_SECONDS = 0.1
"""The first session that is due waits so long for others; then all that have written anything are synced together."""
RETRY_SECONDS = 1.0
ACCOUNT_SECONDS, ACCOUNT_BYTES = 1.0, 64 * 1024
"""After so long, or so much, it is asked whether the user may have more kept."""


OPEN: WeakSet[Journal] = WeakSet()
"""The journals that this process writes."""


class Journal:
    """The writer of one session; ``lock`` is the entry's. Writing is tried every second while the disk refuses."""

    def __init__(self, entry: Entry, codec: Codec, lock: int) -> None:
        self.entry = entry
        self.codec = codec
        self._lock = lock
        self._marker = bytes.fromhex(entry.meta.marker)
        self.device = disk.watch(root())
        self._file = os.open(entry.audio, os.O_WRONLY | os.O_CREAT, 0o600)
        self._size = os.lseek(self._file, 0, os.SEEK_END)
        self._tick = 0  # where the next audio belongs
        self._written = 0  # the tick up to which records stand in the file
        self._retry_at = 0.0
        self._accounted = 0  # bytes that were counted for the user
        self._account_at = 0.0
        self._synced_at = time.monotonic()
        self._synced_size = 0
        self._meta_synced = False
        self._syncing: asyncio.Future[None] | None = None
        self._closed = False
        self._dirty_since: float | None = None  # monotonic: when the oldest byte that no sync has covered was written
        self._refused: OSError | None = None
        self._unsynced: OSError | None = None
        OPEN.add(self)

    @classmethod
    def open(cls, info: SessionInfo, codec: Codec, *, watch: bool, device_id: str = "") -> Journal:
        QUOTA.require(info.uid)
        entry, lock = begin(info, watch=watch, device_id=device_id)
        try:
            return cls(entry, codec, lock)
        except BaseException:
            os.close(lock)
            raise

    @property
    def failed(self) -> OSError | None:
        """Why the audio is not safe on disk. A refused write is over with the next one that succeeds. A failed sync is
        not: Linux reports it once and drops the pages, so a later one that succeeds says nothing of what was lost."""
        return self._refused or self._unsynced

    def unsynced_seconds(self) -> float:
        """For how long the oldest audio that the disk has not been told to keep has stood in this journal."""
        if self._closed or self._dirty_since is None:
            return 0.0
        return time.monotonic() - self._dirty_since

    def append(self, frames: Sequence[bytes]) -> bool:
        """Write one batch. False when audio is not safe on disk; its time is kept, so later times stay right."""
        records = self._records(frames)
        self._tick = records[-1].start + records[-1].ticks if records else self._tick
        now = time.monotonic()
        if self._refused is not None and now < self._retry_at:
            return False
        try:
            if now >= self._account_at or self._size - self._accounted > ACCOUNT_BYTES or self._refused is not None:
                self._account_at = now + ACCOUNT_SECONDS
                self._account()
                QUOTA.require(self.entry.meta.uid)
            self._write(b"".join([encode(self._marker, record) for record in records]))
        except OSError as error:
            JOURNAL_FAILURES.labels("write").inc()
            self._refused = error
            self._retry_at = now + RETRY_SECONDS
            return False
        self._written = self._tick
        self._refused = None
        return self._unsynced is None

    def _account(self) -> None:
        """What was written is counted for the user."""
        QUOTA.wrote(self.entry.meta.uid, self._size - self._accounted)
        self._accounted = self._size

    def _records(self, frames: Sequence[bytes]) -> list[Record]:
        if self.codec.packets:
            ticks = [self.codec.ticks(frame) for frame in frames]
            whole = Record(self._tick, sum(ticks), joined(frames))
            if len(whole.payload) <= MAX_PAYLOAD and whole.ticks <= MAX_TICKS:
                return [whole]
            return list(batches(self._tick, [(joined((frame,)), ticks[at]) for at, frame in enumerate(frames)]))
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        if len(data) <= MAX_PAYLOAD:
            return [Record(self._tick, len(data), data)]
        pieces = [(at, data[at : at + MAX_PAYLOAD]) for at in range(0, len(data), MAX_PAYLOAD)]
        return [Record(self._tick + at, len(piece), piece) for at, piece in pieces]

    def _write(self, data: bytes) -> None:
        view, at = memoryview(data), self._size
        try:
            while view:
                done = os.pwrite(self._file, view, at)
                at += done
                view = view[done:]
        except OSError:
            os.ftruncate(self._file, self._size)  # no half batch; where even this fails the next one is written over it
            raise
        self._size = at
        if self._dirty_since is None:
            self._dirty_since = time.monotonic()

    def sync_when_due(self) -> None:
        """Have the disk keep what was written, called once a second. Returns at once; the thread does the waiting."""
        now = time.monotonic()
        self._account()
        if now - self._synced_at < SYNC_SECONDS or self._syncing is not None or self._closed:
            return
        _Round.ask(self)

    def join(self, turn: asyncio.Future[None]) -> bool:
        """Whether anything of this journal has to be synced; ``turn`` then says when it is."""
        if self._closed or self._syncing is not None or self._size == self._synced_size:
            return False
        self._synced_at, self._synced_size, self._syncing = time.monotonic(), self._size, turn
        return True

    def sync(self) -> OSError | None:
        """Wait for the disk; in a thread. The error, if it refuses."""
        error = disk.sync(self._file)
        if error is None and not self._meta_synced:
            try:
                self.entry.sync_meta()
            except OSError as refused:
                return refused
            self._meta_synced = True
        return error

    def synced(self, error: OSError | None) -> None:
        self._syncing = None
        if error is None:
            self._dirty_since = None if self._size == self._synced_size else self._synced_at
        else:
            self._unsynced = error
            JOURNAL_FAILURES.labels("sync").inc()
            logger.error("journal could not be synced", extra={"session": self.entry.session_id})

    def attach(self, conversation: Conversation) -> None:
        """Remember which processing memory this session feeds: recovery and the recording need it."""
        self.entry.meta.conversation = conversation.id
        self.entry.meta.conversation_started_at = conversation.started_at.isoformat()
        self.entry.meta.offset = conversation.offset
        self.entry.save()

    async def close(self, *, finished: str | None = None) -> None:
        """Flush and let go of the lock. ``finished`` is the reason when the session reached its sink."""
        if self._closed:
            return
        self._closed = True
        if self._syncing is not None:
            await asyncio.wait([self._syncing])
        await asyncio.to_thread(self._close, finished)

    def _close(self, finished: str | None) -> None:
        try:
            if self._written < self._tick:  # the end is missing: an empty record says how much
                self._write(encode(self._marker, Record(self._tick, 0, b"")))
            os.fdatasync(self._file)
            if finished is not None:
                self.entry.meta.state = FINISHED
                self.entry.meta.reason = finished
                self.entry.save()
        except OSError as error:
            self._refused = error
            logger.warning("journal could not be closed cleanly", extra={"session": self.entry.session_id})
        finally:
            self._account()
            os.close(self._file)
            os.close(self._lock)

    def abandon(self) -> None:
        """Let go without a word, as a killed process does: recovery will find the session."""
        if not self._closed:
            self._closed = True
            os.close(self._file)
            os.close(self._lock)

    def remove(self) -> None:
        """Delete the folder: nothing was said in this session and nobody asked to keep it."""
        self.entry.remove()


def _sync_all(journals: Sequence[Journal]) -> list[OSError | None]:
    """Have the disk keep what these journals have written; in a thread. The error of each that it refuses."""
    if len(journals) < disk.SHARED or not disk.can_share():
        return [journal.sync() for journal in journals]
    errors: dict[int, OSError | None] = {}
    for journal in journals:
        if journal.device not in errors:
            errors[journal.device] = disk.sync_shared(journal.device)
        if errors[journal.device] is None:
            journal._meta_synced = True  # with everything else on that file system
    return [errors[journal.device] for journal in journals]


class _Round:
    """One turn of a thread that syncs all journals of an event loop: a turn for each would cost the loop more than its
    audio does, and the disk a commit for each."""

    _gathering: WeakKeyDictionary[asyncio.AbstractEventLoop, _Round] = WeakKeyDictionary()
    _open: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[Journal]] = WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._journals: list[Journal] = []
        self._done: asyncio.Future[None] = loop.create_future()

    @classmethod
    def ask(cls, journal: Journal) -> None:
        """This journal is due: it is part of the round that is about to begin, or of a new one."""
        loop = asyncio.get_running_loop()
        cls._open.setdefault(loop, WeakSet()).add(journal)
        found = cls._gathering.get(loop)
        if found is None:
            found = cls._gathering[loop] = cls(loop)
            loop.call_later(GATHER_SECONDS, found._go)
        found._take(journal)

    def _take(self, journal: Journal) -> None:
        if journal.join(self._done):
            self._journals.append(journal)

    def _go(self) -> None:
        del self._gathering[self._loop]
        for journal in list(self._open.get(self._loop, ())):
            self._take(journal)
        if self._journals:
            self._loop.run_in_executor(_DISK, _sync_all, self._journals).add_done_callback(self._tell)

    def _tell(self, turn: asyncio.Future[list[OSError | None]]) -> None:
        errors = [None] * len(self._journals) if turn.cancelled() else turn.result()
        for journal, error in zip(self._journals, errors, strict=True):
            journal.synced(error)
        if not self._done.done():
            self._done.set_result(None)
