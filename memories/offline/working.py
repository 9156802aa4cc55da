"""A worker turns what came of a batch into conversations. Rows say how far it is; a worker that is killed at any moment
leaves a batch that the next one goes on with, and whatever is done twice leaves the same as done once.

Looked at: each file is decoded once, to hear where somebody speaks. Placed: which stretch belongs to which
conversation is decided once for all files, beside what the device's live sessions have heard. Stored: each
conversation gets its stretches as journals of sessions that are over, and then its memory is asked for, as after a
crash of a live one.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import async_task

from memories.capture import offline
from memories.capture.fence import fenced
from memories.ids import memory_id_for, processing_id_for
from memories.offline import batches, decoding, ending, placing, receiving
from memories.offline.leases import LeaseLost, Turn
from memories.offline.models import SyncBatch, SyncConversation, SyncFile
from memories.pipeline import budgets, long_work, subprocess_runner
from memories.pipeline.engine import fault_injection
from omi.accounts.erased import AccountErased, require_alive
from omi.core import workspace
from omi.core.errors import OwnFault, ProviderError
from omi.stores import audio
from omi.stores.documents.base import DocumentError
from transcription.audio.convert import AudioError
from transcription.hosts import handover
from transcription.journal import whole
from transcription.ports import OFFLINE, Accounting, Conversation, SessionInfo, Stretch
from transcription.spans import Span, length

log = structlog.get_logger(__name__)

MOST_TRIES: Final = 8
"""Workers that may take a batch and die of it."""
LISTEN_LIMIT: Final = 2400.0
"""Seconds that looking for speech may take in one file: six hours take 13 minutes on a free core."""
LONGEST_PAUSE: Final = timedelta(minutes=15)
_SESSIONS: Final = uuid.UUID("7f6f2f0e-8f0a-4c1e-9a53-0d6c9a4b1f55")


def work(batch_id: str) -> str:
    """Do what is left to do of a batch, unless somebody is at it or at another one of its user. How it went, in a
    word."""
    turn = Turn.take(batch_id)
    if turn is None:
        return "not_claimed"
    batch = SyncBatch.objects.get(pk=batch_id)
    if batch.tries > MOST_TRIES:
        ending.end(batch, SyncBatch.State.FAILED)
        return "gave_up"
    try:
        with long_work.kept(f"offline batch {batch_id}", turn.renew), workspace.temporary("sync-") as folder:
            _Work(batch, turn, Path(folder)).all()
    except LeaseLost:
        return "lost"
    except AccountErased:
        SyncBatch.objects.filter(pk=batch_id).delete()
        return "erased"
    except budgets.BudgetSpent as spent:
        return turn.later(timedelta(seconds=spent.seconds))
    except (ProviderError, DocumentError, OSError) as error:  # a store, the decoder or the disk: ours, and passing
        log.warning("sync_batch_waits", batch=batch_id, error=type(error).__name__)
        return turn.later(min(LONGEST_PAUSE, timedelta(seconds=15 * 2 ** min(6, batch.tries))))
    _next_of(batch.uid)
    return "done"


def tick() -> int:
    """Send the tasks of batches that wait for a worker: lost ones, those of workers that died, those whose pause is
    over. How many."""
    ending.expire()
    now = timezone.now()
    free = Q(until=None) | Q(until__lt=now)
    due = SyncBatch.objects.filter(free, state=SyncBatch.State.QUEUED, due_at__lte=now).order_by("due_at")
    names = list(due.values_list("pk", flat=True)[:100])
    for name in names:
        async_task(batches.WORK, name)
    return len(names)


def _next_of(uid: str) -> None:
    """The user's next batch need not wait for the next tick."""
    due = SyncBatch.objects.filter(uid=uid, state=SyncBatch.State.QUEUED, until=None, due_at__lte=timezone.now())
    name = due.order_by("created_at").values_list("pk", flat=True).first()
    if name is not None:
        async_task(batches.WORK, name)


class _Work:
    """One turn at one batch."""

    def __init__(self, batch: SyncBatch, turn: Turn, folder: Path) -> None:
        self._batch = batch
        self._turn = turn
        self._folder = folder
        self._open: tuple[int, decoding.Source] | None = None

    def all(self) -> None:
        if not self._batch.placed:
            self._leave_out_known()
        for file in self._batch.files.filter(state=SyncFile.State.WHOLE, seconds=None).order_by("captured_at"):
            self._turn.check()
            self._look_at(file)
        if not self._batch.placed:
            self._place()
        for conversation in self._batch.conversations.filter(asked=False).order_by("number"):
            self._turn.check()
            self._store(conversation)
        fault_injection.point("offline-done")
        with self._turn.write():
            self._settle()
        ending.end(self._batch, SyncBatch.State.DONE)

    def _leave_out_known(self) -> None:
        """Files that came with another batch meanwhile: what became of them there holds, also that it was erased."""
        theirs = SyncFile.objects.filter(batch__uid=self._batch.uid, state__in=batches.KNOWN)
        known = theirs.exclude(batch=self._batch).values("sha256")
        with self._turn.write():
            mine = self._batch.files.filter(state=SyncFile.State.WHOLE, sha256__in=known)
            mine.update(state=SyncFile.State.DUPLICATE)

    def _look_at(self, file: SyncFile) -> None:
        """Hear where somebody speaks in a file. One that is no recording is refused, and the others go on."""
        try:
            source = self._source(file)
            wav = source.wav(self._folder / "heard.wav")
            heard = subprocess_runner.call(
                "memories.pipeline.audio_analysis.speech", {"path": str(wav)}, timeout=LISTEN_LIMIT
            )
        except AudioError as error:
            told: dict[str, Any] = {"state": SyncFile.State.REFUSED, "problem": error.code}
        except OwnFault as error:
            if error.code != subprocess_runner.TOO_LONG:
                raise
            told = {"state": SyncFile.State.REFUSED, "problem": "took_too_long"}  # it would do so again
        except audio.AudioNotFound:
            told = {"state": SyncFile.State.MISSING, "problem": "audio_gone"}
        else:
            told = {"regions": heard["regions"], "seconds": source.seconds}
        fault_injection.point("offline-heard")
        (self._folder / "heard.wav").unlink(missing_ok=True)
        with self._turn.write():
            SyncFile.objects.filter(pk=file.pk).update(**told)

    def _source(self, file: SyncFile) -> decoding.Source:
        """The file, put together and opened. Raises AudioError (also where its digest is another), AudioNotFound."""
        if self._open is not None and self._open[0] == file.pk:
            return self._open[1]
        self._close()
        folder = self._folder / "open"
        folder.mkdir()
        path = receiving.put_together(file, folder / "file")
        source = decoding.opened(path, file.codec, file.sample_rate, folder)
        self._open = file.pk, source
        return source

    def _close(self) -> None:
        self._open = None
        shutil.rmtree(self._folder / "open", ignore_errors=True)

    def _place(self) -> None:
        """Decide which conversations there are. Decided once: what is stored of one must not make another of it."""
        uid, device = self._batch.uid, self._batch.device_id or None
        files = list(self._batch.files.filter(state=SyncFile.State.WHOLE).order_by("number"))
        recordings = [
            placing.Recording(
                file.number, file.captured_at.timestamp(), float(file.seconds or 0.0), spans(file.regions)
            )
            for file in files
        ]
        known: list[placing.Known] = []
        if recordings:
            since, until = min(item.began for item in recordings), max(item.began + item.seconds for item in recordings)
            known = [
                placing.Known(
                    id=found.id, began=found.timer_start, last=offline.last_heard(found), ended=bool(found.ended),
                    there=not offline.was_deleted(uid, found), covered=offline.covered(found),
                )
                for found in offline.known(uid, device, since, until)
            ]  # fmt: skip
        groups = placing.place(
            recordings, known, gap=settings.OMI_GAP_SECONDS, longest=settings.OMI_MAX_RECORDING_SECONDS
        )
        rows = []
        for number, group in enumerate(groups):
            first = group.parts[0]
            made = processing_id_for(uid, self._session_id(first.number, first.start))
            identity = group.conversation or made
            parts = [
                {
                    "file": part.number,
                    "start": part.start,
                    "end": part.end,
                    "speech": [list(span) for span in part.speech],
                }
                for part in group.parts
            ]
            rows.append(
                SyncConversation(
                    batch=self._batch, number=number, processing_memory_id=identity, memory_id=memory_id_for(identity),
                    joined=bool(group.conversation), parts=parts,
                )
            )  # fmt: skip
        with self._turn.write():
            SyncConversation.objects.bulk_create(rows)
            SyncBatch.objects.filter(pk=self._batch.pk).update(placed=True)
        log.info("sync_batch_placed", uid=uid, batch=self._batch.pk, files=len(files), conversations=len(rows))

    def _store(self, conversation: SyncConversation) -> None:
        """The journals of a conversation's stretches, then the conversation, then its run."""
        uid, identity = self._batch.uid, conversation.processing_memory_id
        there = offline.find(uid, identity)
        numbers = {part["file"] for part in conversation.parts}
        files = {file.number: file for file in self._batch.files.filter(number__in=numbers)}
        zero = there.timer_start if there is not None else _began(files, conversation.parts[0])
        sessions = [self._session(files[part["file"]], part, zero) for part in conversation.parts]
        for session, part in zip(sessions, conversation.parts, strict=True):
            if there is None or session.info.session_id not in there.session_ids:
                self._turn.check()
                self._write(files[part["file"]], session, identity, zero)
        if there is None:
            budgets.spend(uid, runs=1)
        fault_injection.point("offline-written")
        place = Conversation(id=identity, started_at=datetime.fromtimestamp(zero, UTC))
        fenced(_ask, sessions[-1].info, place, sessions)
        fault_injection.point("offline-asked")
        with self._turn.write():
            SyncConversation.objects.filter(pk=conversation.pk).update(asked=True)

    def _session(self, file: SyncFile, part: dict[str, Any], zero: float) -> offline.OfflineSession:
        """A stretch of a file as a session of the conversation that begins at ``zero`` (Unix seconds)."""
        captured = file.captured_at.timestamp()
        start = max(float(part["start"]), zero - captured)  # quiet from before the conversation began is not of it
        end = float(part["end"])
        codec = decoding.codec_of(file.codec, file.sample_rate)
        info = SessionInfo(
            uid=self._batch.uid,
            session_id=self._session_id(file.number, part["start"]),
            started_at=datetime.fromtimestamp(captured + start, UTC),
            language=self._batch.language,
            codec=codec.name,
            sample_rate=codec.sample_rate,
            device_id=self._batch.device_id or None,
            signed_in=self._batch.signed_in or self._batch.created_at.timestamp(),
        )
        speech = [(max(a, start) - start, min(b, end) - start) for a, b in spans(part["speech"])]
        speech = [(a, b) for a, b in speech if b > a]
        failed = length(speech)
        return offline.OfflineSession(
            info,
            Accounting(
                received=end - start,
                transcribed=0.0,
                silence=end - start - failed,
                failed=failed,
                reasons={OFFLINE: failed} if failed else {},
                missing=[Stretch(round(a, 3), round(b, 3)) for a, b in speech],
            ),
        )

    def _write(self, file: SyncFile, session: offline.OfflineSession, conversation: str, zero: float) -> None:
        """The journal of a session, on this host or, where there are several, on its way to the audio store."""
        info = session.info
        if handover.is_handed(info.session_id):
            return
        source = self._source(file)
        start = session.began - file.captured_at.timestamp()
        entry = whole.write(
            info, source.codec, source.frames(start, start + session.accounting.received), conversation=conversation,
            conversation_started_at=datetime.fromtimestamp(zero, UTC), offset=session.began - zero,
        )  # fmt: skip
        try:
            require_alive(info.uid, info.fenced_from)
        except AccountErased:
            entry.remove()
            raise
        handover.closed(entry)
        handover.hand_over(entry)

    def _session_id(self, number: int, start: float) -> str:
        """The same for the same stretch, whoever works on it."""
        return str(uuid.uuid5(_SESSIONS, f"{self._batch.pk}/{number}/{start:.3f}"))

    def _settle(self) -> None:
        """What became of each file that was looked at."""
        placed = {part["file"] for one in self._batch.conversations.all() for part in one.parts}
        files = list(self._batch.files.filter(state=SyncFile.State.WHOLE))
        for file in files:
            spoken = length(spans(file.regions)) >= placing.LEAST
            unplaced = SyncFile.State.HEARD if spoken else SyncFile.State.SILENT
            file.state = SyncFile.State.PLACED if file.number in placed else unplaced
        SyncFile.objects.bulk_update(files, ["state"], batch_size=500)


def _ask(last: SessionInfo, place: Conversation, sessions: Sequence[offline.OfflineSession]) -> None:
    """Store sessions in their conversation and ask for its memory, unless a run has made them good before."""
    stored = offline.store(place.id, sessions)
    fault_injection.point("offline-stored")
    if not offline.settled(stored, sessions):
        offline.ask(place.id, last, stored.timer_start)


def _began(files: Mapping[int, SyncFile], part: Mapping[str, Any]) -> float:
    """Unix seconds of the first sample of a stretch."""
    return files[part["file"]].captured_at.timestamp() + float(part["start"])


def spans(told: Sequence[Sequence[float]] | None) -> list[Span]:
    """Spans as JSON keeps them."""
    return [(float(start), float(end)) for start, end in told or ()]
