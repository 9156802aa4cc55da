"""Capture: read the processing memory, and fetch the journal's recording where live transcription failed."""

from __future__ import annotations

from typing import Any

from memories.ids import own_segment_ids
from memories.pipeline import missing_audio
from memories.pipeline.engine import recordings
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import Done, StepError
from memories.pipeline.speaker_labels import journal_wav, one_label_a_voice
from memories.repository import processing, transcripts
from memories.shapes import ProcessingMemory
from omi.stores import audio
from transcription.consensus import MODEL
from transcription.segments import Segment

REUSE = False  # a conversation goes on between two runs


def inputs(ctx: Context) -> dict[str, Any]:
    """Return what the step depends on: the id of the processing memory."""
    return {"processing_memory": ctx.options.get("processing_memory_id")}


def run(ctx: Context) -> Done:
    """Read what was heard live, and fetch the recording where words failed or are missing, or the user stores audio."""
    found = processing_memory(ctx)
    failed = failed_seconds(found)
    segments = first_transcript(ctx, found)
    words = any(segment.text.strip() for segment in segments)
    output: dict[str, Any] = {
        "language": found.language,
        "segments": len(segments),
        "failed_seconds": round(failed, 2),
        "started": found.timer_start or found.created_at.timestamp(),
        "accounting": missing_audio.accounting(found),
        "sessions": found.session_ids,
        "audio": "",
    }
    # Kept for the user where they allow it; else only as long as it is needed to make up for what failed.
    output["permitted"] = ctx.user.store_recording_permission
    missing = missing_audio.stretches(found)
    if missing or not words or output["permitted"]:
        output["audio"] = _recording(ctx, found, permitted=output["permitted"])
    # Only what says where it failed: transcribed as a whole, the conversation would stand there twice.
    output["transcribe"] = bool(output["audio"]) and (bool(missing) or not words)
    output["missing"] = [list(span) for span in missing]
    if not words and not output["audio"]:
        raise StepError("nothing_to_process")
    segments = one_label_a_voice(ctx, found, segments)
    output["voices"] = len({item.speaker for item in segments})
    return Done(output, {"segments": [item.model_dump(mode="json") for item in segments]})


def processing_memory(ctx: Context) -> ProcessingMemory:
    """Return the run's processing memory; raises StepError ``nothing_to_process`` where it is gone."""
    try:
        return processing.get(ctx.uid, str(ctx.options.get("processing_memory_id", "")))
    except processing.ProcessingMemoryNotFound as error:
        raise StepError("nothing_to_process", "the processing memory is gone") from error


def first_transcript(ctx: Context, found: ProcessingMemory) -> list[Segment]:
    """What was shown; with ``OMI_CONSENSUS`` what the vendors agree on, for each session that several heard.

    A session without a vote (one vendor, an older server, a process that died) keeps what was shown.
    """
    from django.conf import settings

    # A vendor's finals may come out of order; the socket shows them as they come, the memory as they were said.
    shown = sorted(found.transcript_segments, key=lambda item: (item.start, item.end))
    if not settings.OMI_CONSENSUS:
        return shown
    voted = transcripts.newest_live(ctx.uid, ctx.memory_id, MODEL)
    ids = {item.id for item in voted}
    given: set[str] = set()  # the shown segments of the sessions that have a vote
    for session in found.session_ids:
        own = own_segment_ids(session, MODEL, len(shown) + len(voted))
        if own & ids:
            given |= own
    kept = [item for item in shown if item.id not in given and item.id not in ids]
    return sorted([*kept, *_named_as_shown(voted, shown)], key=lambda item: (item.start, item.end))


def _named_as_shown(voted: list[Segment], shown: list[Segment]) -> list[Segment]:
    """Names may have been given after the vote."""
    by_id = {item.id: item for item in shown}
    return [
        item.model_copy(update={"is_user": by_id[item.id].is_user, "person_id": by_id[item.id].person_id})
        if item.id in by_id
        else item
        for item in voted
    ]


def failed_seconds(found: ProcessingMemory) -> float:
    """Seconds of audio that no live vendor transcribed, over all sessions of the conversation."""
    return sum(float(part.get("failed") or 0.0) for part in missing_audio.accounting(found).values())


def _recording(ctx: Context, found: ProcessingMemory, *, permitted: bool) -> str:
    """The journal's audio of the whole conversation as an audio object ("" where the journal has none)."""
    from django.conf import settings

    path = journal_wav(ctx, found)
    if path is None:
        return ""
    purpose = "recording" if permitted else "journal"
    name = recordings.store(ctx, purpose, path, None if permitted else settings.OMI_AUDIO_KEEP)
    for known in audio.for_memory(ctx.uid, ctx.memory_id, purpose=purpose):
        if known.name != name:
            audio.delete(known)  # a shorter recording of the same conversation
    return name
