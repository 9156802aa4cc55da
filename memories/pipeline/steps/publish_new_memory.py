"""Writing the memory of a conversation: once, under an id that follows from the processing memory's.

A conversation that went on after its memory was made updates the same memory, and never puts raw live text over a
better, post-processed transcript: what was said since is added behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from memories.pipeline import made_with, missing_audio
from memories.pipeline.engine import lease, notifications
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import RunCanceled
from memories.pipeline.rules import changes, user_edits
from memories.pipeline.speaker_labels import continued
from memories.pipeline.steps.gather import processing_memory
from memories.pipeline.steps.publish_side_effects import permitted_now
from memories.pipeline.steps.structure import result_segments
from memories.repository import memories as repository
from memories.repository import processing, transcripts
from memories.repository.transcripts import content_hash
from memories.shapes import Memory, PostProcessingStatus, ProcessingMemory, Structured, UserEdits
from omi.stores import audio
from omi.stores.documents.base import AlreadyExists
from transcription import metrics
from transcription.hosts import handover
from transcription.segments import Segment, end_of

MARGIN = 2.0
"""Seconds of quiet on either side of what was said that belong to the memory's span."""


def write(ctx: Context) -> Memory:
    """Create the conversation's memory, or update an earlier attempt's; raises RunCanceled where it was deleted."""
    conversation = _settle(ctx, processing_memory(ctx))
    recording = _recording(ctx)
    try:
        memory = repository.mutate_memory(
            ctx.uid,
            ctx.memory_id,
            lambda found: _resumed(ctx, conversation, found, recording),
            fence=lambda: lease.write(ctx.lease),
        )
    except repository.MemoryNotFound:
        if conversation.memory_id:
            raise RunCanceled("memory_gone") from None  # it was made, and the user deleted it
        try:
            memory = repository.create_memory(
                ctx.uid, _new(ctx, conversation, recording), fence=lambda: lease.write(ctx.lease)
            )
        except AlreadyExists as error:
            raise RunCanceled("memory_gone") from error
    try:
        _keep_transcript(ctx)
    except repository.MemoryNotFound as error:
        raise RunCanceled("memory_gone") from error
    if conversation.memory_id != ctx.memory_id:
        processing.update(ctx.uid, conversation.id, {"memory_id": ctx.memory_id})
    _release_journal(ctx, conversation)
    return memory


def _release_journal(ctx: Context, conversation: ProcessingMemory) -> None:
    """The words are safe now: the audio of the sessions that this run has read goes after ``OMI_AUDIO_KEEP``. One that
    joined the conversation meanwhile has a run of its own to come."""
    from django.conf import settings
    from django.utils import timezone

    for session in ctx.output("gather").get("sessions", conversation.session_ids):
        handover.release(session, timezone.now() + settings.OMI_AUDIO_KEEP, ctx.uid)


def _new(ctx: Context, conversation: ProcessingMemory, recording: str | None) -> Memory:
    edited = _with_assigned(UserEdits(), conversation)
    model = _model(ctx, result_segments(ctx))
    segments = _labelled(result_segments(ctx), edited, model)
    zero = datetime.fromtimestamp(float(ctx.output("gather")["started"]), UTC)
    return Memory(
        id=ctx.memory_id,
        created_at=conversation.created_at,
        time_zero=zero,
        **_span(zero, conversation, segments),
        language=conversation.language,
        structured=_structured(ctx),
        transcript_segments=segments,
        geolocation=conversation.geolocation,
        discarded=bool(ctx.output("structure").get("discarded")),
        postprocessing=notifications.field(),
        processing_memory_id=conversation.id,
        active_transcript=model,
        active_version=_version(ctx),
        edits=edited,
        emotional_feedback=conversation.emotional_feedback,
        recording=recording,
        accounting=missing_audio.accounting(conversation) or None,
    )


def _resumed(ctx: Context, conversation: ProcessingMemory, memory: Memory, recording: str | None) -> dict[str, Any]:
    live = result_segments(ctx)
    segments, changed_text = live, True
    if _keeps_shown(ctx, memory):
        shown = memory.heard()
        end = end_of(shown)
        known = {item.id: item for item in shown}
        later = [item for item in live if item.start >= end - 0.5 and item.id not in known]
        later = continued(shown, live, later, taken=memory.edits.speakers)
        grown = _grown(known, live)
        segments, changed_text = [*(grown.get(item.id, item) for item in shown), *later], bool(later or grown)
    edited = _with_assigned(memory.edits, conversation)
    labelled, edited = changes.lay(_labelled(segments, edited, memory.active_transcript), edited)
    fields: dict[str, Any] = {
        "transcript_segments": labelled,
        "accounting": missing_audio.accounting(conversation) or None,
    }
    zero = memory.time_zero or memory.started_at
    if zero is not None:
        fields |= _span(zero, conversation, segments)
    if changed_text or not memory.structured.title:
        made = _structured(ctx)
        if made.title or not memory.structured.title:
            fields["structured"], edited = changes.lay_structure(memory, made, edited)
            fields["discarded"] = bool(ctx.output("structure").get("discarded")) and memory.discarded
    if not _keeps_shown(ctx, memory):
        fields["active_transcript"] = _model(ctx, segments)
        fields["active_version"] = _version(ctx)
    fields["edits"] = edited
    if conversation.geolocation and memory.geolocation is None:
        fields["geolocation"] = conversation.geolocation
    if recording:
        fields["recording"] = recording
    return fields


def _grown(known: Mapping[str, Segment], live: Sequence[Segment]) -> dict[str, Segment]:
    """Live segments that have become longer since they were shown: the earlier run read them while they were said."""
    return {
        item.id: item.model_copy(update={"speaker": known[item.id].speaker})
        for item in live
        if item.id in known and item.end > known[item.id].end
    }


def _with_assigned(edited: UserEdits, conversation: ProcessingMemory) -> UserEdits:
    """What the user said on the socket is an edit like any other; one made on the memory since then is newer."""
    return edited.model_copy(update={"segments": {**conversation.assigned, **edited.segments}})


def _labelled(segments: list[Segment], edited: UserEdits, model: str | None) -> list[Segment]:
    return user_edits.apply(segments, user_edits.manual_labels(segments, edited, model=model, known={}))


def _keeps_shown(ctx: Context, memory: Memory) -> bool:
    """Whether what is shown stays, and what was said since is added behind it: it came from a recording, whatever
    became of the last run. Only what this run heard itself, in the recording of the whole conversation, takes the place
    of an earlier such text."""
    active = memory.active_transcript or ""
    if active.endswith("_streaming") or active in ("", "live", "consensus"):
        return False
    told = memory.postprocessing
    uploaded = told is not None and told.status != PostProcessingStatus.NOT_STARTED
    return uploaded or not (ctx.did("transcribe") and ctx.output("assess").get("accepted"))


def _structured(ctx: Context) -> Structured:
    return Structured.model_validate(ctx.output("structure").get("structured") or {})


def _span(zero: datetime, conversation: ProcessingMemory, segments: list[Segment]) -> dict[str, datetime]:
    """From the first word to the last, with ``MARGIN``: a device may stay on long before and after a talk."""
    first = min((item.start for item in segments), default=0.0)
    last = max((item.end for item in segments), default=conversation.last_audio)
    began, ended = max(0.0, first - MARGIN), max(last, min(last + MARGIN, conversation.last_audio))
    return {"started_at": zero + timedelta(seconds=began), "finished_at": zero + timedelta(seconds=ended)}


def _model(ctx: Context, segments: list[Segment]) -> str | None:
    """Under which name what is shown is stored."""
    if _made(ctx):
        return str(ctx.output("transcribe")["model"])
    providers = {item.stt_provider for item in segments if item.stt_provider}
    return providers.pop() if len(providers) == 1 else ("live" if segments else None)


def _made(ctx: Context) -> bool:
    """Whether words were made of what live vendors failed to hear, and stand in the result."""
    accepted = ctx.did("transcribe") and ctx.output("assess").get("accepted")
    return bool(accepted and ctx.output("transcribe")["model"] and ctx.output("transcribe")["words"])


def _settle(ctx: Context, conversation: ProcessingMemory) -> ProcessingMemory:
    """What was made good stands in the conversation and its books: a later run neither loses it nor pays for it."""
    wanted = missing_audio.asked(ctx)
    if not wanted or not ctx.did("transcribe") or not ctx.output("assess").get("accepted"):
        return conversation
    own = {item["id"] for item in ctx.artifact("transcribe", "segments")}
    shown = {item["id"] for item in ctx.artifact("gather", "segments")}
    result = result_segments(ctx)
    made = [item for item in result if item.id in own or item.id not in shown] if _made(ctx) else []
    seconds: list[float] = []

    def write(current: ProcessingMemory) -> dict[str, Any]:
        books, settled = missing_audio.settled(current, wanted, made)
        seconds[:] = [missing_audio.settled_of_live(current, books)]
        if settled <= 0.0:
            return {}
        heard = missing_audio.with_made(current.transcript_segments, made, wanted)
        return {"accounting": books, "transcript_segments": heard}

    updated = processing.mutate(ctx.uid, conversation.id, write, fence=lambda: lease.write(ctx.lease))
    metrics.SETTLED.inc(amount=sum(seconds))
    return updated


def _version(ctx: Context) -> str | None:
    """Which version of what ``_keep_transcript`` keeps is shown; None: the live transcript, which is kept elsewhere."""
    return content_hash(missing_audio.transcribed(ctx)) if _made(ctx) else None


def _recording(ctx: Context) -> str | None:
    """The kept recording; where consent was withdrawn since it was gathered it is deleted instead."""
    name = str(ctx.output("gather").get("audio") or "")
    if not name or not ctx.output("gather").get("permitted"):
        return None
    if permitted_now(ctx):
        return name

    for known in audio.for_memory(ctx.uid, ctx.memory_id, purpose="recording"):
        audio.delete(known)
    return None


def _keep_transcript(ctx: Context) -> None:
    """What was made from the journal is kept under its model's name, like every transcript."""
    if not ctx.output("transcribe").get("model"):
        return
    made = missing_audio.transcribed(ctx)
    transcripts.save_transcript(
        ctx.uid, ctx.memory_id, ctx.output("transcribe")["model"], made,
        {
            "source": "journal", "run_id": ctx.run.pk, "accepted": ctx.output("assess").get("accepted"),
            "made_with": made_with.transcript(ctx),
        },
        fence=lambda: lease.hold(ctx.lease),
    )  # fmt: skip
