"""What follows the document: vector, emotions, a kept recording, a supportive message.

The document is written, so it is too late to cancel: what is half published would be shown as not done.
"""

from __future__ import annotations

import contextlib

from emotions.base import EmotionTimeline
from emotions.feedback import feedback
from memories.pipeline import vector_writes
from memories.pipeline.engine import checkpoints, fault_injection, lease, recordings
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import LeaseLost, RunCanceled
from memories.pipeline.vendor_calls import client
from memories.repository import emotions as emotions_repository
from memories.repository import memories as repository
from memories.repository.memories import MemoryNotFound
from memories.shapes import Memory
from omi.accounts.users import get_user, recordings_age
from omi.core.errors import ProviderError
from omi.push import push as send
from omi.stores import audio


def vector(ctx: Context, memory: Memory) -> None:
    """Write the embedding, or take it away where the conversation is not kept. A memory deleted meanwhile gets none.

    A vector store knows no fence. A worker that is frozen between the check and the write, and woken after another has
    published, writes an old vector late: it finds that out at once, and puts the newest one back.
    """
    if not memory.discarded and not ctx.did("index"):
        return
    lease.hold(ctx.lease)
    fault_injection.point("vector-before")
    vector_writes.write(ctx.uid, memory, None if memory.discarded else ctx.artifact("index", "vector"))
    fault_injection.point("vector-written")
    if not lease.holds(ctx.lease):
        vector_writes.repair(ctx.uid, ctx.memory_id)
        raise LeaseLost
    if vector_writes.gone(ctx.uid, ctx.memory_id):
        vector_writes.remove(ctx.uid, ctx.memory_id)  # deleted between the two writes: leave no orphan
        raise RunCanceled("memory_gone")


def emotions(ctx: Context, memory: Memory) -> None:
    """Store the emotions that the run measured, if it did; raises RunCanceled where the memory is gone, LeaseLost."""
    if not ctx.did("emotions"):
        return

    timeline = EmotionTimeline.model_validate(ctx.artifact("emotions", "timeline"))
    fault_injection.point("emotions-before")
    try:
        emotions_repository.save_emotions(ctx.uid, memory.id, timeline, fence=lambda: lease.hold(ctx.lease))
    except MemoryNotFound as error:
        raise RunCanceled("memory_gone") from error


def recording(ctx: Context) -> str:
    """The name of the recording that is kept for the user, where they allowed it ("" otherwise)."""
    if not ctx.did("prepare_audio") or not ctx.user.store_recording_permission or not permitted_now(ctx):
        return ""
    if not ctx.recorded():
        return ""  # its time was over before this run began
    name = recordings.store(ctx, "recording", ctx.wav(), None)
    audio.limit_age(ctx.uid, "recording", recordings_age(ctx.uid), memory_id=ctx.memory_id)
    return name


def permitted_now(ctx: Context) -> bool:
    """Whether recordings may be kept, asked at this moment: consent may have been withdrawn while the run worked."""
    return get_user(ctx.uid).store_recording_permission


def consent(ctx: Context, memory: Memory) -> None:
    """A recording that was kept while the user withdrew their consent goes again, whichever of the two was first."""
    if memory.recording and ctx.user.store_recording_permission and not permitted_now(ctx):
        audio.delete(memory.recording)
        with contextlib.suppress(repository.MemoryNotFound):
            repository.update_memory(ctx.uid, ctx.memory_id, {"recording": None})
        ctx.log.info("recording_not_kept", reason="consent withdrawn")


def push(ctx: Context) -> None:
    """A supportive message, at most once, only when asked for and clear. Its failure is logged and fails nothing."""
    if not ctx.did("emotions") or ctx.checkpoint.get("pushed"):
        return
    if not get_user(ctx.uid).emotional_feedback_push:  # asked now: it may have been withdrawn while the run worked
        return

    message = feedback(EmotionTimeline.model_validate(ctx.artifact("emotions", "timeline")), opted_in=True)
    if message is None:
        return
    try:
        checkpoints.save(ctx, {**ctx.checkpoint, "pushed": True})  # before sending: rather none than two
    except RunCanceled:
        return  # nobody wants it any more

    def tell() -> None:
        try:
            send(ctx.uid, message.title, message.text, {"memory_id": ctx.memory_id})
        except ProviderError as error:
            ctx.log.warning("push_failed", code=error.code)

    client.fire_and_forget(tell)
