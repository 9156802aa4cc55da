"""What support staff can do to a memory. Each action really does it, and says in one sentence what happened."""

from __future__ import annotations

from typing import Any

from memories.pipeline import queries, service
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import Kind, State
from memories.repository import memories as repository
from memories.shapes import Memory, PostProcessing, PostProcessingStatus
from omi.stores import audio


class Impossible(Exception):
    """The action cannot be done; the text says why, in a sentence for staff."""


def reprocess(uid: str, memory_id: str, *, actor: str, reason: str) -> str:
    """Title, overview, action items and vector again, from the transcript that is shown."""
    _memory(uid, memory_id)
    run = service.start(Kind.REPROCESS, uid, memory_id, actor=actor, reason=reason, options={"force": True})
    return f"Run {run.pk} makes title, overview and search entry again."


def post_process(uid: str, memory_id: str, *, actor: str, reason: str) -> str:
    """The recording again, from the last run's audio or the kept recording."""
    memory = _memory(uid, memory_id)
    last = queries.latest_run(uid, memory_id, Kind.POSTPROCESS)
    if last is not None and last.state != State.FINISHED:
        raise Impossible(f"Run {last.pk} is still {last.state}; cancel it first.")
    kept = {item.name: item for item in audio.for_memory(uid, memory_id)}
    if last is not None and last.audio in kept:
        run = service.retry(last, actor=actor, reason=reason, from_step="prepare_audio")
        return f"Run {run.pk} follows run {last.pk} with the same recording."
    playable = [item for item in kept.values() if item.purpose in ("recording", "upload", "journal")]
    if not playable:
        raise Impossible("No recording of this memory is stored any more; the app has to upload it again.")
    options: dict[str, Any] = {"emotional_feedback": memory.emotional_feedback}
    run = service.start(
        Kind.POSTPROCESS, uid, memory_id, actor=actor, reason=reason, audio=playable[-1], options=options
    )
    return f"Run {run.pk} works on the {playable[-1].purpose} of {playable[-1].created_at:%Y-%m-%d %H:%M} UTC."


def cancel(uid: str, memory_id: str, *, actor: str, reason: str) -> str:
    """Stop every run of the memory that has not ended, those in line first."""
    runs = PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id).exclude(state=State.FINISHED)
    stopped = [run.pk for run in runs.order_by("-held", "id") if service.cancel(run, actor=actor, reason=reason)]
    if not stopped:
        raise Impossible("Nothing is running for this memory.")
    return f"Asked to stop: {', '.join(f'run {pk}' for pk in stopped)}."


def set_status(uid: str, memory_id: str, status: PostProcessingStatus, *, actor: str, reason: str) -> str:
    """Say in the memory what became of its post-processing. Refused while a run would overwrite it."""
    if PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id).exclude(state=State.FINISHED).exists():
        raise Impossible("A run of this memory has not ended and would set the status itself; cancel it first.")
    if status is PostProcessingStatus.IN_PROGRESS:
        raise Impossible("Only a run can be in progress; post-process the memory instead.")

    def change(memory: Memory) -> dict[str, Any]:
        before = memory.postprocessing or PostProcessing()
        update: dict[str, Any] = {"status": status}
        if status is not PostProcessingStatus.FAILED:
            update |= {"fail_reason": None, "message_id": None}
        return {"postprocessing": before.model_copy(update=update)}

    before = _memory(uid, memory_id).postprocessing
    try:
        repository.mutate_memory(uid, memory_id, change)
    except repository.MemoryNotFound as error:
        raise Impossible("The memory is gone.") from error
    return f"Status changed from {before.status if before else 'none'} to {status}."


def _memory(uid: str, memory_id: str) -> Memory:
    try:
        return repository.get_memory(uid, memory_id)
    except repository.MemoryNotFound as error:
        raise Impossible("The memory is gone.") from error
