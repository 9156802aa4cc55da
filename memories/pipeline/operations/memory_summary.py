"""What is stored of a memory now, for support staff: never a word of it."""

from __future__ import annotations

from collections.abc import Iterator

from memories.pipeline.models import VendorBreaker
from memories.pipeline.operations import session_summary
from memories.registry import records as registry
from memories.repository import memories as repository
from memories.repository import transcripts
from omi.stores import audio


def lines(uid: str, memory_id: str) -> Iterator[str]:
    """The document, its transcripts and recordings, and which vendors are not called at the moment."""
    yield f"\nMemory {memory_id} of {uid}"
    try:
        memory = repository.get_memory(uid, memory_id)
    except repository.MemoryNotFound:
        yield "  no such memory now: it was deleted, or never made"
    else:
        state = "discarded, " if memory.discarded else ""
        shown = memory.active_transcript or "nothing"
        yield (
            f"  {state}made {memory.created_at:%Y-%m-%d %H:%M:%S}, language {memory.language or 'unknown'}, "
            f"shows {shown} ({len(memory.transcript_segments)} segments)"
        )
        told = memory.postprocessing
        if told is not None:
            of_run = f" (run {told.run_id})" if told.run_id else ""
            yield f"  the app is told: {told.status}{of_run} {told.fail_reason or ''}".rstrip()
        if memory.edits.segments or memory.edits.title or memory.edits.overview or memory.edits.changes:
            yield "  the user has edited it: their words and names win over every run"
        if memory.processing_memory_id:
            yield from session_summary.lines(uid, memory.processing_memory_id)
    for model, version in transcripts.list_transcripts(uid, memory_id).items():
        accepted = version.meta.get("accepted")
        verdict = "" if accepted is None else ", accepted" if accepted else ", rejected: "
        reasons = "; ".join(version.meta.get("reasons", [])) if accepted is False else ""
        yield f"  transcript {model}: {len(version.segments)} segments{verdict}{reasons}"
    for line in registry.lines(uid, memory_id):
        yield f"  {line}"
    for kept in audio.for_memory(uid, memory_id):
        until = f"until {kept.delete_after:%Y-%m-%d %H:%M:%S}" if kept.delete_after else "until it is deleted"
        yield f"  audio ({kept.purpose}): {kept.size / 1e6:.1f} MB, kept {until}"
    for breaker in VendorBreaker.objects.filter(open=True):
        again = f"{breaker.retry_at:%H:%M:%S}" if breaker.retry_at else "-"
        yield f"  NOTE: {breaker.vendor} is not called now ({breaker.reason}); one try at {again}, or at once after"
        yield f"        manage.py breakers --close {breaker.vendor}"
