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
        "language": found.language, "segments": len(found.transcript_segments), "failed_seconds": round(failed, 2),
        "audio": "", "started": found.timer_start or found.created_at.timestamp(), "accounting": dict((found.model_extra or {}).get("accounting") or {}),
    }  # fmt: skip
    if failed > 0.0 or not words:
        output["audio"] = _recording(ctx, found)
        if not words and not output["audio"]:
            raise StepError("nothing_to_process")
    return Done(output, {"segments": [item.model_dump(mode="json") for item in found.transcript_segments]})


def processing_memory(ctx: Context) -> ProcessingMemory:
    from memories.repository import processing
    from memories.repository.memories import MemoryNotFound

    try:
        found = processing.get(ctx.uid, str(ctx.options.get("processing_memory_id", "")))
    except MemoryNotFound as error:
        raise StepError("nothing_to_process", "the processing memory is gone") from error
    if found is None:
        raise StepError("nothing_to_process", "the processing memory is gone")
    return found


def failed_seconds(found: ProcessingMemory) -> float:
    """Seconds of audio that no live vendor transcribed, over all sessions of the conversation."""
    accounting = (found.model_extra or {}).get("accounting") or {}
    return sum(float(part.get("failed") or 0.0) for part in accounting.values())


def _recording(ctx: Context, found: ProcessingMemory) -> str:
    """The journal's audio of the whole conversation as an audio object ("" where the journal has none)."""
    from django.conf import settings

    from omi.stores import audio
    from transcription.recording import recording_for

    path = recording_for(ctx.uid, found, ctx.folder / "journal.wav")
    if path is None:
        return ""
    ctx.check()
    for known in audio.for_memory(ctx.uid, ctx.memory_id, purpose="journal"):
        audio.delete(known)  # an earlier try of this step, or a shorter recording of the same conversation
    with path.open("rb") as file:
        return str(
            audio.put(ctx.uid, "journal", file, memory_id=ctx.memory_id, keep_for=settings.OMI_AUDIO_KEEP).name
        )
