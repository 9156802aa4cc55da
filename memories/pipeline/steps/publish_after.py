"""What follows the document: vector, emotions, a kept recording, a supportive message."""

from __future__ import annotations

from memories.pipeline import calls
from memories.pipeline.context import Context
from memories.pipeline.outcomes import RunCanceled
from memories.shapes import Memory
from omi.errors import ProviderError
from omi.stores.vectors import namespace, vector_id
from omi.stores.vectors.base import Vector


def vector(ctx: Context, memory: Memory) -> None:
    """Write the embedding, or take it away where the conversation is not kept. A memory deleted meanwhile gets none."""
    from memories.repository import memories as repository

    vectors = ctx.provider("vectors")
    identity, space = vector_id(ctx.uid, ctx.memory_id), namespace()
    if memory.discarded:
        vectors.delete([identity], namespace=space)
        return
    if not ctx.did("index"):
        return
    ctx.check()
    vectors.upsert(
        [
            Vector(
                identity,
                ctx.artifact("index", "vector"),
                {
                    "uid": ctx.uid, "memory_id": ctx.memory_id, "created_at": int(memory.created_at.timestamp()),
                    "category": memory.structured.category.value,
                },
            )
        ],
        namespace=space,
    )  # fmt: skip
    try:
        repository.get_memory(ctx.uid, ctx.memory_id)
    except repository.MemoryNotFound as error:
        vectors.delete([identity], namespace=space)  # deleted between the two writes: leave no orphan
        raise RunCanceled("memory_gone") from error


def emotions(ctx: Context, memory: Memory) -> None:
    if not ctx.did("emotions"):
        return
    from emotions.base import EmotionTimeline
    from memories.repository.emotions import save_emotions

    ctx.check()
    save_emotions(ctx.uid, memory.id, EmotionTimeline.model_validate(ctx.artifact("emotions", "timeline")))


def recording(ctx: Context) -> str:
    """The name of the recording that is kept for the user, where they allowed it ("" otherwise)."""
    if not ctx.did("prepare_audio") or not ctx.user.store_recording_permission or not permitted_now(ctx):
        return ""
    return ctx.store_audio("recording", ctx.wav(), None)


def permitted_now(ctx: Context) -> bool:
    """Whether recordings may be kept, asked at this moment: consent may have been withdrawn while the run worked."""
    from omi.accounts.users import get_user

    return get_user(ctx.uid).store_recording_permission


def push(ctx: Context) -> None:
    """A supportive message, at most once, only when asked for and clear. Its failure is logged and fails nothing."""
    from omi.accounts.users import get_user

    if not ctx.did("emotions") or ctx.checkpoint.get("pushed"):
        return
    if not get_user(ctx.uid).emotional_feedback_push:  # asked now: it may have been withdrawn while the run worked
        return
    from emotions.base import EmotionTimeline
    from emotions.feedback import feedback
    from omi.push import push as send

    message = feedback(EmotionTimeline.model_validate(ctx.artifact("emotions", "timeline")), opted_in=True)
    if message is None:
        return
    ctx.save_checkpoint({**ctx.checkpoint, "pushed": True})  # before sending: rather none than two

    def tell() -> None:
        try:
            send(ctx.uid, message.title, message.text, {"memory_id": ctx.memory_id})
        except ProviderError as error:
            ctx.log.warning("push_failed", code=error.code)

    calls.aside(tell)
