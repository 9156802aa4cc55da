"""Capture: read the processing memory, and fetch the journal's recording where live transcription failed."""

from __future__ import annotations

from typing import Any

from memories.pipeline.context import Context
from memories.pipeline.outcomes import Done, StepError
from memories.shapes import ProcessingMemory

REUSE = False  # a conversation goes on between two runs


def inputs(ctx: Context) -> dict[str, Any]:
    return {"processing_memory": ctx.options.get("processing_memory_id")}


def run(ctx: Context) -> Done:
    found = processing_memory(ctx)
    failed = failed_seconds(found)
    words = any(segment.text.strip() for segment in found.transcript_segments)
    output: dict[str, Any] = {
        "language": found.language,
        "segments": len(found.transcript_segments),
        "failed_seconds": round(failed, 2),
        "started": found.timer_start or found.created_at.timestamp(),
        "accounting": dict((found.model_extra or {}).get("accounting") or {}),
        "audio": "",
    }
    # Kept for the user where they allow it; else only as long as it is needed to make up for what failed.
    output["permitted"] = ctx.user.store_recording_permission
    if failed > 0.0 or not words or output["permitted"]:
        output["audio"] = _recording(ctx, found, permitted=output["permitted"])
    output["transcribe"] = bool(output["audio"]) and (failed > 0.0 or not words)
    if not words and not output["audio"]:
        raise StepError("nothing_to_process")
    return Done(output, {"segments": [item.model_dump(mode="json") for item in found.transcript_segments]})


def processing_memory(ctx: Context) -> ProcessingMemory:
    from memories.repository import processing

    try:
        return processing.get(ctx.uid, str(ctx.options.get("processing_memory_id", "")))
    except processing.ProcessingMemoryNotFound as error:
        raise StepError("nothing_to_process", "the processing memory is gone") from error


def failed_seconds(found: ProcessingMemory) -> float:
    """Seconds of audio that no live vendor transcribed, over all sessions of the conversation."""
    accounting = (found.model_extra or {}).get("accounting") or {}
    return sum(float(part.get("failed") or 0.0) for part in accounting.values())


def _recording(ctx: Context, found: ProcessingMemory, *, permitted: bool) -> str:
    """The journal's audio of the whole conversation as an audio object ("" where the journal has none)."""
    from django.conf import settings

    from omi.stores import audio
    from transcription.recording import recording_for

    path = recording_for(ctx.uid, found, ctx.folder / "journal.wav")
    if path is None:
        return ""
    purpose = "recording" if permitted else "journal"
    name = ctx.store_audio(purpose, path, None if permitted else settings.OMI_AUDIO_KEEP)
    for known in audio.for_memory(ctx.uid, ctx.memory_id, purpose=purpose):
        if known.name != name:
            audio.delete(known)  # a shorter recording of the same conversation
    return name
