"""Whose voices they are: on the accepted transcript, or on the shown one where the new one was rejected.

A failing voice engine erases no label: the labels that are there stay, and it is noted.
"""

from __future__ import annotations

from typing import Any

from memories.pipeline import missing_audio
from memories.pipeline.engine import content_hash, lease
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import Done, Skip
from memories.pipeline.rules import user_edits
from memories.pipeline.speaker_labels import joined_with_shown, journal_wav
from memories.pipeline.states import Kind
from memories.pipeline.steps import identify_without_audio
from memories.pipeline.steps.assess import shown
from memories.pipeline.steps.gather import processing_memory
from memories.pipeline.steps.transcribe import scope_of
from memories.repository import memories, transcripts
from memories.repository.transcripts import named_segments
from memories.shapes import UserEdits
from omi.core.errors import Outcome, ProviderError, StoreError
from speakers import identify as identification
from speakers import turns
from speakers.models import VoiceSample
from transcription.segments import Segment, Word, segments_from_words

REUSE = False  # profiles and people change between two runs, and nobody is paid for it
LIMIT = 1800.0


def inputs(ctx: Context) -> dict[str, Any]:
    """Return what the labels depend on: the new transcript, whether it was accepted, and what the user set."""
    return {
        "new": ctx.output("transcribe").get("text_hash"), "accepted": ctx.output("assess").get("accepted"),
        "edits": _said(ctx)[0].model_dump(mode="json"),
    }  # fmt: skip


def run(ctx: Context) -> Done | Skip:
    """Name the speakers by their voices; what the user set wins, and a failing engine leaves the labels as they are."""
    accepted = ctx.did("transcribe") and bool(ctx.output("assess").get("accepted"))
    if not ctx.did("transcribe"):
        # The live labels were decided on what had been heard until then; now all of it is there.
        wav = journal_wav(ctx, processing_memory(ctx)) if ctx.run.kind == Kind.CAPTURE and _somebody(ctx.uid) else None
        if wav is None:
            return Skip("there is no recording, or nobody to recognise")
    elif not ctx.recorded():
        return identify_without_audio.run(ctx, accepted, *_said(ctx))
    else:
        wav = ctx.wav()
    segments = _new_segments(ctx) if accepted else shown(ctx)
    if not segments:
        return Skip("nobody speaks")
    edited, stored, active = _said(ctx)
    if accepted:
        segments = user_edits.kept_whole(segments, edited, stored)
    model = ctx.output("transcribe")["model"] if accepted else active
    version = (
        transcripts.content_hash(segments)
        if accepted
        else (ctx.memory.active_version if ctx.run.kind != Kind.CAPTURE else None)
    )
    manual = user_edits.manual_labels(segments, edited, known=stored, model=model, version=version)
    naming = user_edits.naming(segments, manual, edited, model=model, version=version)
    note, outcome = "", Outcome.SUCCESS
    voices: list[Any] = []
    engine: dict[str, str] = {}
    try:
        found = identification.identify(
            ctx.uid, wav, segments, language=ctx.language, manual=naming, memory_id=ctx.memory_id,
            fence=lambda: lease.write(ctx.lease),
        )  # fmt: skip
        segments, voices = list(found.segments), list(found.voices)
        engine = {"engine": found.engine, "engine_version": found.engine_version}
    except StoreError:
        raise  # our own: it is waited for
    except ProviderError as error:
        if error.retryable and _tries(ctx) < 2:
            raise
        ctx.log.error("voices_not_judged", code=error.code, vendor=error.vendor)
        note, outcome = f"voices were not judged: {error.message}", error.outcome
    segments = user_edits.apply(segments, manual)
    body = [segment.model_dump(mode="json") for segment in segments]
    known = sum(1 for item in segments if item.is_user or item.person_id)
    ctx.log.info("speakers_identified", voices=len({item.speaker for item in segments}), labelled=known)
    return Done(
        {"segments": len(segments), "labelled": known, "voices": len(voices), "hash": content_hash.of(body), **engine},
        {"segments": body},
        outcome=outcome,
        note=note or f"{len({item.speaker for item in segments})} voices, {known} segments with a name",
    )


def _somebody(uid: str) -> bool:
    """Whether there is anybody to recognise: the user or a person."""
    return VoiceSample.objects.filter(uid=uid, status=VoiceSample.Status.ACCEPTED).exists()


def _said(ctx: Context) -> tuple[UserEdits, dict[str | None, list[Segment]], str | None]:
    """What a person set, the transcripts that it may name, and which of them is shown.

    A capture may have no memory yet: then it is what they said on the socket, of the live transcript.
    """
    if ctx.run.kind != Kind.CAPTURE:
        return ctx.memory.edits, versions(ctx), ctx.memory.active_transcript
    known: dict[str | None, list[Segment]] = {model: list(item.segments) for model, item in ctx.transcripts.items()}
    try:
        memory = memories.get_memory(ctx.uid, ctx.memory_id)
        edited, active = memory.edits, memory.active_transcript
        known.setdefault(active, list(memory.transcript_segments))
    except memories.MemoryNotFound:
        edited, active = UserEdits(), "live"
    known.setdefault("live", shown(ctx))
    assigned = processing_memory(ctx).assigned
    return edited.model_copy(update={"segments": {**assigned, **edited.segments}}), known, active


def versions(ctx: Context) -> dict[str | None, list[Segment]]:
    """Every stored transcript of the memory by model: edits name segments and voices of any of them."""
    stored = named_segments(ctx.uid, ctx.memory_id, ctx.transcripts, ctx.memory.edits)
    stored.setdefault(ctx.memory.active_transcript, list(ctx.memory.transcript_segments))
    return stored


def _tries(ctx: Context) -> int:
    return sum(int(item["count"]) for item in ctx.checkpoint.get("failures", {}).values())


def _new_segments(ctx: Context) -> list[Segment]:
    """The new transcript; a provider without diarization gets its voices from ours."""
    made = ctx.output("transcribe")
    if made.get("diarized", True):
        return _joined(ctx, missing_audio.transcribed(ctx))
    words = [Word.model_validate(item) for item in ctx.artifact("transcribe", "words")]
    regions = [(start, end) for start, end in ctx.output("prepare_audio")["regions"]]
    named = turns.assign_speakers(words, ctx.wav(), regions)
    # Other voices cut the words into other segments: they have ids of their own.
    segments = segments_from_words(named, scope=scope_of(made["scope"], named), provider=made["model"])
    if ctx.run.kind != Kind.CAPTURE:
        return segments
    return _joined(ctx, missing_audio.together(shown(ctx), segments, missing_audio.asked(ctx)))


def _joined(ctx: Context, segments: list[Segment]) -> list[Segment]:
    if ctx.run.kind != Kind.CAPTURE or not missing_audio.asked(ctx):
        return segments
    return joined_with_shown(ctx, processing_memory(ctx), segments, shown(ctx), ctx.wav())
