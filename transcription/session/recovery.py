"""Sessions whose process died: what they heard and did not hear still becomes a memory."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import structlog
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async

from omi.accounts.erased import AccountErased
from omi.core.providers import one
from omi.shared_metrics import counters
from transcription import journal, metrics
from transcription.audio.vad import SpeechGate
from transcription.hosts import handover
from transcription.journal.reader import seconds_on_disk
from transcription.journal.store import FINISHED, Entry
from transcription.ports import FINAL, Accounting, Conversation, SessionSink, Stretch, VoiceLabel
from transcription.segments import Segment, speaker_label
from transcription.session.pieces import divided
from transcription.spans import intersect, lasting, length, merge

log = structlog.get_logger(__name__)

WORTH_SECONDS = 0.5
"""An orphan with less audio than this holds nothing that could be heard."""


def recover_sessions() -> int:
    """Finish every session that no living process writes. Returns how many. Blocking; safe to call at any time and
    from several processes: a session's lock decides who does it."""
    sink: SessionSink = one("session_sink")
    done = 0
    for orphan in journal.orphans():
        claimed = journal.claim(orphan)
        if claimed is None:
            continue
        entry, lock = claimed
        try:
            async_to_sync(_recover)(sink, entry)
            done += 1
        except AccountErased:  # while its process was dead, or while it wrote
            entry.remove()
            done += 1
        except Exception as error:  # the sink's stores may be down: the next reconcile tries again
            log.warning("session_not_recovered", session=entry.session_id, error=type(error).__name__)
        finally:
            entry.unlock(lock)
    counters.flush()
    journal.sweep()
    return done


async def _recover(sink: SessionSink, entry: Entry) -> None:
    info = entry.info
    received = seconds_on_disk(entry)
    heard = _heard(entry)
    worthless = received < WORTH_SECONDS and not heard and not entry.meta.conversation
    if worthless or not entry.meta.watch:  # an unwatched session is text for a client that has gone
        if not heard:
            metrics.session_ended("recovered", await asyncio.to_thread(_counted, entry, received), recovered=True)
        entry.remove()
        await database_sync_to_async(handover.gone)(entry.session_id)
        return
    conversation = await _conversation(sink, entry)
    if heard:
        segments = _counted_on([_moved(item, conversation.offset) for item in heard["segments"]], conversation.segments)
        if segments:
            assigned = {key: VoiceLabel(**voice) for key, voice in heard.get("assigned", {}).items()}
            last_audio = received + conversation.offset
            await sink.store(info, conversation, divided(segments), last_audio=last_audio, assigned=assigned)
        transcripts = {
            model: [_moved(item, conversation.offset) for item in items]
            for model, items in heard["transcripts"].items()
        }
        await sink.store_transcripts(info, conversation, transcripts)
        counted = dict(heard["accounting"])
        missing = [Stretch(**item) for item in counted.pop("missing", [])]
        result = Accounting(**counted, missing=missing)
    else:
        result = await asyncio.to_thread(_counted, entry, received)
    was_lost = await database_sync_to_async(handover.was_lost)(entry.session_id)
    await database_sync_to_async(handover.closed)(entry)
    told = str(heard.get("reason", "")) if heard else ""
    reason = told if told in FINAL else "recovered"  # a conversation that had ended has ended
    await sink.finish(info, conversation, reason=reason, accounting=result, keep=bool(heard and heard.get("keep")))
    entry.meta.state, entry.meta.reason = FINISHED, "recovered"
    entry.save()
    metrics.session_ended(reason, result, recovered=True, counted=heard is not None or was_lost)
    log.info(
        "session_recovered", session=entry.session_id, conversation=conversation.id, received=round(received, 2),
        failed=round(result.failed, 2),
    )  # fmt: skip


def _counted(entry: Entry, received: float) -> Accounting:
    """What is known of a session whose process died: how far it was heard, and where in its audio somebody speaks."""
    gate = SpeechGate()
    for piece in journal.read_pcm(entry):
        gate.feed(piece)
    speech = merge([(cut.session, cut.session + cut.seconds) for cut in gate.cuts])
    decided = min(received, entry.progress()[0])
    transcribed = length(intersect(speech, [(0.0, decided)]))
    missing = lasting(intersect(speech, [(decided, received)]))
    failed = length(missing)
    return Accounting(
        received=received,
        transcribed=transcribed,
        silence=max(0.0, received - transcribed - failed),
        failed=failed,
        reasons={"process_died": failed} if failed > 0 else {},
        missing=[Stretch(round(start, 3), round(end, 3)) for start, end in missing],
    )


async def _conversation(sink: SessionSink, entry: Entry) -> Conversation:
    """The one the session was attached to, else a new or resumed one. Opening twice is safe: sessions are known."""
    if entry.meta.conversation:
        return Conversation(
            id=entry.meta.conversation,
            started_at=datetime.fromisoformat(entry.meta.conversation_started_at),
            offset=entry.meta.offset,
        )
    conversation = await sink.open(entry.info, watch=entry.meta.watch)
    entry.meta.conversation = conversation.id
    entry.meta.conversation_started_at = conversation.started_at.isoformat()
    entry.meta.offset = conversation.offset
    entry.save()
    return conversation


def _heard(entry: Entry) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((entry.folder / "heard.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _counted_on(segments: list[Segment], stored: list[Segment]) -> list[Segment]:
    """Speakers counted on from those of earlier sessions, as a living session does. Where it
    knew its conversation it has done so, and ``stored`` is empty."""
    own = {item.id for item in segments}
    first = max((item.speaker_id + 1 for item in stored if item.id not in own), default=0)
    return [item.model_copy(update={"speaker": speaker_label(first + item.speaker_id)}) for item in segments]


def _moved(item: dict[str, Any], offset: float) -> Segment:
    segment = Segment.model_validate({name: value for name, value in item.items() if name != "speaker_id"})
    return segment.model_copy(update={"start": segment.start + offset, "end": segment.end + offset})
