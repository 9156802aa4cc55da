"""One live session: audio in, journal, vendors, shown segments, the sink that stores them, the account at the end."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence

import structlog
from channels.db import database_sync_to_async

from omi.core import clock
from omi.core.database_threads import THREADS
from transcription import metrics
from transcription.audio.codecs import RATE, open_decoder
from transcription.audio.vad import SpeechGate
from transcription.journal.writer import Journal
from transcription.ports import Accounting, Conversation, SessionInfo, VoiceLabel
from transcription.segments import Segment, Word
from transcription.session import ending
from transcription.session.account import account
from transcription.session.agreement import MODEL, PAUSE, Agreement
from transcription.session.dependencies import Callbacks, Dependencies, Plan
from transcription.session.faults import Faults
from transcription.session.segment_builder import SegmentBuilder
from transcription.session.status import SessionStatus
from transcription.session.storing import Ending, Storing
from transcription.session.supervisor import Supervisor, eligible
from transcription.session.voices import OnlineClustering, Voices
from transcription.session.window import AudioWindow

log = structlog.get_logger(__name__)

STORE_SECONDS = 2.0
"""Shown words are stored at most this much later."""
FINISH_SECONDS = 20.0
"""How long the vendors may take for their last words after the client has gone."""
UTTERANCE_GAP = 1.5
"""Where a vendor does not tell speakers apart, a pause this long begins a new segment: who spoke may have changed."""


class Session:
    """Hears one client, in session time: seconds since the first audio byte. The socket above knows frames and JSON,
    the vendors below know streams; the session knows neither."""

    def __init__(self, plan: Plan, dependencies: Dependencies, callbacks: Callbacks) -> None:
        self.plan = plan
        self.info = SessionInfo(
            uid=plan.uid,
            session_id=str(uuid.uuid4()),
            started_at=plan.began_at or clock.now(),
            language=plan.language,
            codec=plan.codec.name,
            sample_rate=plan.codec.sample_rate,
            device_id=plan.device_id,
            signed_in=plan.signed_in,
            vocabulary=plan.vocabulary_version,
        )
        self.over = False  # the gap was reached: the socket begins the next session
        self._dependencies = dependencies
        self._callbacks = callbacks
        self._status = SessionStatus(callbacks.status)
        self._decoder = open_decoder(plan.codec)
        self._journal = self._open_journal()
        self._storing = Storing(
            self.info,
            dependencies.sink,
            self._journal,
            self._status.mark,
            watch=plan.watch,
            opened=self._opened,
            hold=dependencies.return_seconds,
        )
        self._storing.on_gone = lambda at: self._builder.cut(at, self._shown[-500:])
        self._window = AudioWindow(self._journal.entry if self._journal else None)
        self._gate = SpeechGate() if dependencies.gate else None
        self._builder = SegmentBuilder(self.info.session_id)
        self._supervisor = Supervisor(
            eligible(dependencies.vendors, plan.language, plan.preferred, plan.order),
            self._window,
            self._gate,
            mode=dependencies.mode,
            language=plan.language,
            vocabulary=plan.vocabulary,
            session_id=self.info.session_id,
            breaker=dependencies.breaker,
            on_words=self._words,
            on_status=self._status.vendor,
            tuning=dependencies.tuning,
        )
        self._agreement = Agreement(self._supervisor, self._builder, plan.accuracy or dependencies.accuracy)
        labeller = dependencies.labeller
        self._voices = (
            Voices(plan.uid, labeller, self._window, self._named) if labeller is not None and plan.profile else None
        )
        self._clustering = OnlineClustering(labeller, self._window) if labeller is not None else None
        self._utterances: asyncio.Queue[tuple[list[Word], str]] = asyncio.Queue()
        self._separating: asyncio.Task[None] | None = None
        self._shown: list[Word] = []
        self._told_apart: dict[str, dict[tuple[float, str], str | None]] = {}
        self._audio_at = time.monotonic()
        self._spoken_before = 0.0  # session seconds: the last word of the conversation's earlier sessions
        self._faults = Faults(self.info.session_id)
        self._keeper: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[bool] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._rejoining: asyncio.Task[None] | None = None

    # --- audio ------------------------------------------------------------------------------------------------------

    @property
    def received(self) -> float:
        """Seconds of audio so far."""
        return self._window.end / RATE

    def start(self) -> None:
        self._supervisor.start()
        if self._clustering is not None and not all(
            item.capabilities.diarization for item in self._dependencies.vendors
        ):
            self._clustering.prepare()
        self._keeper = asyncio.create_task(self._keep(), name="session-keeper")
        self._rejoining = asyncio.create_task(self._storing.rejoin(), name="session-rejoin")

    def feed(self, frames: Sequence[bytes]) -> None:
        """Take one batch of audio: to the journal first, then to everybody else."""
        self._audio_at = time.monotonic()
        if self._journal is not None:
            self._status.mark("journal", not self._journal.append(frames))
        pcm = self._decoder.decode(frames)
        if not pcm:
            return
        if self._gate is not None:
            self._gate.feed(pcm)
        self._window.append(pcm)
        self._supervisor.wake()

    def _open_journal(self) -> Journal | None:
        try:
            return Journal.open(self.info, self.plan.codec, watch=self.plan.watch, device_id=self.plan.device_id or "")
        except OSError as error:
            log.error("journal_unavailable", error=type(error).__name__)
            metrics.JOURNAL_FAILURES.labels("open").inc()
            return None

    # --- words ------------------------------------------------------------------------------------------------------

    def _words(self, words: Sequence[Word], model: str) -> None:
        separate = self._clustering is not None and all(word.speaker is None for word in words)
        if separate or not self._utterances.empty() or self._separating is not None:
            # In order: words wait for the voices of those before them (a fifth of a second, the local engine's only).
            self._utterances.put_nowait((list(words), model))
            if self._separating is None:
                self._separating = asyncio.create_task(self._separate(), name="session-voices")
        else:
            self._show(words, model)

    async def _separate(self) -> None:
        assert self._clustering is not None
        try:
            while not self._utterances.empty():
                words, model = self._utterances.get_nowait()
                if all(word.speaker is None for word in words):
                    words = await self._clustering.told_apart(words)
                    self._told_apart.setdefault(model, {}).update({(w.start, w.text): w.speaker for w in words})
                self._show(words, model)
        finally:
            self._separating = None

    def _show(self, words: Sequence[Word], model: str) -> None:
        told_apart = any(word.speaker is not None for word in words)
        deltas = self._builder.add(words, model, max_gap=None if told_apart else UTTERANCE_GAP)
        self._shown.extend(words)
        self._storing.dirty = True
        self._callbacks.segments(deltas)
        if self._voices is not None and told_apart:
            for delta in deltas:
                self._voices.note(delta.segment.speaker, delta.start, delta.end)

    def _named(self, label: str, voice: VoiceLabel) -> None:
        self._correct(self._builder.name_voice(label, voice))

    def assign(self, segment_ids: Sequence[str], voice: VoiceLabel) -> bool:
        changed = self._builder.assign(segment_ids, voice)
        self._correct(changed)
        return bool(changed)

    @property
    def conversation(self) -> Conversation | None:
        """The processing memory, once something was stored."""
        return self._storing.conversation

    @property
    def segments(self) -> list[Segment]:
        return self._builder.segments

    # --- once a second ----------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        if self._journal is None:
            self._status.mark("journal", True)
        voted_at = time.monotonic()
        while True:
            await asyncio.sleep(0.5)
            for part in (self._sync, self._supervisor.tick, self._tick_voices, self._look_for_the_gap):
                self._faults.guard(part)
            try:
                await self._store_when_due()
            except Exception as error:
                self._faults.note("store", error)
            if self._dependencies.consensus and time.monotonic() - voted_at >= PAUSE:
                voted_at = time.monotonic()
                try:
                    self._correct(await self._agreement.so_far())
                except Exception as error:
                    self._faults.note("vote", error)

    def _correct(self, changed: list[Segment]) -> None:
        if changed:
            self._storing.dirty = True
            self._callbacks.updated(changed)

    def _sync(self) -> None:
        if self._journal is not None:
            self._journal.sync_when_due()

    def _tick_voices(self) -> None:
        if self._voices is not None:
            self._voices.tick()

    def _look_for_the_gap(self) -> None:
        self.over = self.over or self._gap_reached()

    async def _store_when_due(self) -> None:
        if self._storing.dirty and time.monotonic() - self._storing.stored_at >= STORE_SECONDS:
            # To the end, also where this task is cancelled: its thread would write older words after newer ones.
            self._writing = asyncio.create_task(self._store(), name="session-store")
            await asyncio.shield(self._writing)

    def _gap_reached(self) -> bool:
        """Nobody has spoken for the gap: the conversation has ended."""
        gap = self._dependencies.gap_seconds
        if not self._window.end:
            return False
        if time.monotonic() - self._audio_at >= gap:
            return True
        # Counted from the last word of the sessions before, where this one continues them.
        last_speech = max([self._spoken_before, *(segment.end for segment in self._builder.segments[-5:])])
        if self._gate is not None:
            cuts = self._gate.cuts
            return self.received - max(last_speech, cuts[-1].session + cuts[-1].seconds if cuts else -1e9) >= gap
        # Some vendors say nothing about silence: that they were sent it, some seconds ago, must do.
        heard = self._supervisor.fed_until - min(5.0, gap / 20)
        return max(self._supervisor.shown_until, heard) - last_speech >= gap

    def _opened(self, conversation: Conversation) -> None:
        """Speakers are counted on from those of earlier sessions: their SPEAKER_00 need not be ours."""
        resumed = conversation.resumed and bool(conversation.segments)
        self._spoken_before = min(0.0, conversation.spoken_until - conversation.offset) if resumed else 0.0
        own = {segment.id for segment in self._builder.segments}
        earlier = [segment.speaker_id + 1 for segment in conversation.segments if segment.id not in own]
        labels, changed = self._builder.renumber(max(earlier, default=0))
        if self._voices is not None and labels:
            self._voices.rename(labels)
        if changed:
            self._callbacks.updated(changed)

    async def _store(self) -> bool:
        self._storing.heard(clock.time() - (time.monotonic() - self._audio_at))
        return await self._storing.store(
            self._builder.pieces,
            self._builder.assigned,
            received=self.received,
            decided=self._supervisor.shown_until,
        )

    # --- the end ----------------------------------------------------------------------------------------------------

    def finish(self, reason: str, *, keep: bool = False, wait: float = FINISH_SECONDS) -> asyncio.Task[None]:
        """No more audio comes. The work goes on after the socket has gone; the task may be awaited, or not."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._finish(reason, keep, wait), name="session-finish")
            ending.keep(self._ending)
        return self._ending

    async def _finish(self, reason: str, keep: bool, wait: float) -> None:
        """Whatever goes wrong on the way, the vendors are let go and so is the journal: recovery finds the audio."""
        try:
            await self._hand_on(reason, keep, wait)
        except Exception as error:
            self._faults.note("finish", error)
            self._status.mark("storage", True)
        finally:
            if self._keeper is not None:
                self._keeper.cancel()
            try:
                await self._supervisor.stop()
            finally:
                if self._journal is not None:
                    await self._journal.close()

    async def _hand_on(self, reason: str, keep: bool, wait: float) -> None:
        self._window.closed = True
        self._storing.heard(clock.time() - (time.monotonic() - self._audio_at))
        closing = asyncio.create_task(self._storing.close(reason, words=bool(self._builder.segments)))
        # A slow local engine may be far behind a fast client: it gets as long as the audio that it owes.
        behind = max(
            (self.received - vendor.done_until for vendor in self._supervisor.sessions if vendor.live), default=0.0
        )
        await self._supervisor.finish(max(wait, min(behind, 600.0)) if wait >= FINISH_SECONDS else wait)
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await asyncio.wait([task for task in (closing, self._rejoining, self._writing) if task is not None])
        if self._separating is not None:
            await asyncio.wait([self._separating], timeout=FINISH_SECONDS)
        if self._clustering is not None:
            self._clustering.close()
        if self._voices is not None and wait >= FINISH_SECONDS:
            await self._voices.settle()
        result = self.accounting()
        metrics.session_ended(reason, result)
        if self._dependencies.counted is not None:
            await database_sync_to_async(self._dependencies.counted, thread_sensitive=False, executor=THREADS)()
        log.info(
            "session_ended",
            session=self.info.session_id,
            reason=reason,
            reasons=result.reasons,
            **_rounded(result),
            memory_id=self.conversation.memory_id if self.conversation is not None else "",
        )
        silent = not self._builder.segments and result.failed <= 0
        if silent and not keep and self.conversation is None:
            await self._close_journal(reason, remove=True)
            return
        finished = await self._storing.hand_over(
            self._builder.segments,
            self._builder.pieces,
            self._builder.assigned,
            self._supervisor.shown_until,
            Ending(reason, keep, result, await self._transcripts()),
        )
        # Nobody will ask for the audio of a session that only transcribes, or in which nobody spoke.
        await self._close_journal(reason if finished else None, remove=finished and (silent or not self.plan.watch))

    async def _close_journal(self, finished: str | None, *, remove: bool) -> None:
        if self._journal is None:
            return
        await self._journal.close(finished=finished)
        if remove:
            await asyncio.to_thread(self._journal.remove)
        ending.hand_over(self._journal.entry, removed=remove)

    async def _transcripts(self) -> dict[str, list[Segment]]:
        """Each vendor's own, and what they agree on where several heard the session."""
        found = self._supervisor.transcripts(self.info.session_id, self._told_apart)
        if self._dependencies.consensus:
            agreed, changed = await self._agreement.whole()
            if agreed:
                found[MODEL] = agreed
            if changed:
                self._callbacks.updated(changed)
        return found

    def accounting(self) -> Accounting:
        return account(
            self.received,
            self._supervisor.covered,
            self._shown,
            # Without a gate nobody can say what was silence: all that no vendor decided has failed.
            [(0.0, self.received)]
            if self._gate is None
            else [(cut.session, cut.session + cut.seconds) for cut in self._gate.cuts],
            self._supervisor.failure(),
            lost=self._supervisor.lost(voted=self._dependencies.consensus),
            vendors=self._supervisor.facts(),
        )

    async def discard(self) -> None:
        """The user is gone: what was said is neither stored nor kept, and the journal goes."""
        for task in (self._keeper, self._separating, self._rejoining, self._ending):
            if task is not None:
                task.cancel()
        await self._supervisor.stop()
        await self._close_journal(None, remove=True)

    async def abort(self) -> None:
        """End as a killed process does, for tests: the journal stays as it is."""
        for task in (self._keeper, self._rejoining):
            if task is not None:
                task.cancel()
        await self._supervisor.stop()
        if self._journal is not None:
            self._journal.abandon()


def _rounded(result: Accounting) -> dict[str, float]:
    return {name: round(getattr(result, name), 2) for name in ("received", "transcribed", "silence", "failed")}
