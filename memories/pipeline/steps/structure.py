"""Title, overview, category, action items and events; and whether the conversation is worth keeping."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter

from memories.document_parts import Section
from memories.pipeline import missing_audio, subprocess_runner, template_sections
from memories.pipeline.engine import content_hash
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import Done, Skip
from memories.pipeline.models import VendorCall
from memories.pipeline.rules import changes
from memories.pipeline.states import Kind
from memories.pipeline.vendor_calls import client, patience
from memories.shapes import Structured
from memories.structuring import choosing
from memories.structuring.base import FillResult, StructureRequest, StructureResult, Wanted
from memories.structuring.discard import MIN_CONTENT_WORDS
from memories.structuring.local import LocalStructurer
from omi.core import providers, tuned
from omi.core.errors import ErrorKind, Outcome, OwnFault, ProviderError
from omi.core.partial_results import PartialResults
from speakers import people
from transcription.segments import Segment, render

VERSION = 1
LIMIT = 900.0
COMPUTING: Final = 120.0
"""Seconds that the rules may take on this machine; the longest talk takes twenty on a free core."""
ANSWER: Final[TypeAdapter[StructureResult]] = TypeAdapter(StructureResult)


def inputs(ctx: Context) -> dict[str, Any]:
    """Return what the summary depends on: words, speakers, names, language, time, model, prompt and template."""
    segments = told(ctx)
    provider, prompt = choosing.chosen(ctx.uid, ctx.memory_id)
    return {
        **({"prompt": prompt} if prompt else {}),  # none: hashed as before
        "text": [[item.speaker, item.is_user, item.person_id, item.start, item.text] for item in segments],
        "names": _names(ctx, segments), "user": [ctx.user.name, ctx.user.language, ctx.user.time_zone],
        "model": [provider.name, provider.model_name], "language": ctx.language, "force": _forced(ctx),
        "started_at": _started_at(ctx).isoformat(), **template_sections.inputs(ctx),
    }  # fmt: skip


def run(ctx: Context) -> Done | Skip:
    """Ask the model for the memory's summary, and whether it is discarded; an unchanged transcript skips it."""
    segments = told(ctx)
    if ctx.run.kind == Kind.POSTPROCESS and not ctx.run.from_step and _unchanged(ctx, segments):
        return Skip("the shown transcript did not change")
    if not any(segment.text.strip() for segment in segments):
        if ctx.run.kind == Kind.CAPTURE:
            return Done({"structured": {}, "discarded": not _forced(ctx), "reason": "nobody speaks", "method": ""},
                        outcome=Outcome.EXPECTED_SILENCE)  # fmt: skip
        return Skip("there is no text")
    provider, prompt = choosing.chosen(ctx.uid, ctx.memory_id)
    request = replace(_request(ctx, segments), prompt=prompt)
    before, answered = template_sections.kept_summary(ctx), ctx.checkpoint.get("made")
    if answered is not None:  # the run was suspended while the sections of a template were asked for
        made = ANSWER.validate_python(answered)
    else:
        made = _asked(ctx, provider, request) if before is None else StructureResult(before)
    structured = made.structured
    discarded = made.discarded and not request.force
    if not discarded:
        checkpoint = {"made": ANSWER.dump_python(made, mode="json")}
        structured = template_sections.filled(ctx, provider, request, structured, _filled_here, checkpoint)
    return Done(
        {
            "structured": structured.model_dump(mode="json"), "discarded": discarded, "reason": made.discard_reason,
            "method": made.method, "provider": provider.name if before is None else "",
        },
        note=f"discarded: {made.discard_reason}" if made.discarded else made.method,
    )  # fmt: skip


def _asked(ctx: Context, provider: Any, request: StructureRequest) -> StructureResult:
    what = [
        content_hash.of(render(request.segments, names=request.names)),
        provider.model_name,
        request.answer_language,
        request.force,
        *([request.prompt] if request.prompt else []),
    ]

    def call(record: VendorCall, parts: PartialResults) -> StructureResult:
        made: StructureResult = (
            provider.structure(replace(request, parts=parts)) if provider.remote else _here(provider, request)
        )
        record.input_tokens, record.output_tokens, record.cost = made.input_tokens, made.output_tokens, made.cost
        return made

    asked = client.Question(provider.name, "structure", what, ANSWER, remote=provider.remote, limit=request.timeout)
    return client.ask(ctx, asked, lambda: call)


def _here(provider: Any, request: StructureRequest) -> StructureResult:
    """On this machine: in a child process, which is killed when it takes too long."""
    return ANSWER.validate_python(_computed("structure", provider, request))


def _filled_here(provider: Any, request: StructureRequest, wanted: list[Wanted], made: Structured) -> FillResult:
    """The same for the sections of a template; empty ones where even that fails."""
    more = {"wanted": [asdict(item) for item in wanted], "made": made.model_dump(mode="json")}
    try:
        return template_sections.ANSWER.validate_python(_computed("fill", provider, request, **more))
    except (OwnFault, subprocess_runner.Crashed):
        return FillResult([Section(heading=item.heading) for item in wanted], "nothing")


def _computed(function: str, provider: Any, request: StructureRequest, **more: Any) -> Any:
    asked = {
        **{item.name: getattr(request, item.name) for item in fields(request) if item.name != "parts"},
        "segments": [item.model_dump(mode="json") for item in request.segments],
        "started_at": request.started_at.isoformat(),
    }  # fmt: skip
    backend, options = providers.named("structurer", provider)
    arguments = {"backend": backend, "options": options, "request": asked, **more}
    return subprocess_runner.call(f"memories.pipeline.audio_analysis.{function}", arguments, timeout=COMPUTING)


def _first_words(request: StructureRequest) -> StructureResult:
    """What needs no rule: the talk begins like this."""
    text = next((item.text.strip() for item in request.segments if item.text.strip()), "")[:200]
    return StructureResult(Structured(title=" ".join(text.split()[:8])), method="first words")


def without(ctx: Context, error: ProviderError) -> Done | Skip | None:
    """A conversation is kept whatever becomes of the language model: an error is never a reason to discard it, or to
    leave it without a memory. A better transcript, which was paid for, is shown though the model refuses to speak about
    it, or the money for the model is spent."""
    if ctx.run.kind == Kind.CAPTURE:
        by_rules = LocalStructurer()
        request = replace(_request(ctx, told(ctx)), force=True)
        try:
            made = _here(by_rules, request)
        except (OwnFault, subprocess_runner.Crashed) as fault:
            ctx.log.error("summary_rules_failed", error=type(fault).__name__)
            made = _first_words(request)
        return Done(
            {
                "structured": made.structured.model_dump(mode="json"), "discarded": False, "reason": "",
                "method": by_rules.model_name,
            },
            outcome=error.outcome, note=f"by rules: {error.message}",
        )  # fmt: skip
    about_the_talk = error.kind is ErrorKind.PERMANENT and error.outcome is not Outcome.CONFIG_ERROR
    if (
        ctx.run.kind == Kind.POSTPROCESS
        and (about_the_talk or error.kind is ErrorKind.QUOTA)
        and ctx.memory.structured.title
    ):
        return Skip(f"the summary stays as it was: {error.message}")
    return None


def _request(ctx: Context, segments: list[Segment]) -> StructureRequest:
    return StructureRequest(
        segments=segments,
        started_at=_started_at(ctx),
        language=ctx.language,
        answer_language=ctx.user.language or ctx.language or "en",
        time_zone=ctx.user.time_zone,
        force=_forced(ctx),
        names=_names(ctx, segments),
        user_name=ctx.user.name or "User",
        discard_below=int(tuned.value("discard_below", MIN_CONTENT_WORDS, uid=ctx.uid, memory_id=ctx.memory_id)),
        timeout=patience.STRUCTURE,
    )


def result_segments(ctx: Context) -> list[Segment]:
    """The transcript that this run ends with."""
    if ctx.did("identify_speakers"):
        return [Segment.model_validate(item) for item in ctx.artifact("identify_speakers", "segments")]
    if ctx.did("transcribe") and ctx.output("assess").get("accepted"):
        return missing_audio.transcribed(ctx)
    if ctx.run.kind == Kind.CAPTURE:
        return [Segment.model_validate(item) for item in ctx.artifact("gather", "segments")]
    return list(ctx.memory.transcript_segments)


def told(ctx: Context) -> list[Segment]:
    """Return the segments of ``result_segments`` with the words that the person corrected, of which the summary is
    made."""
    segments = result_segments(ctx)
    return segments if ctx.run.kind == Kind.CAPTURE else changes.lay(segments, ctx.memory.edits)[0]


def _unchanged(ctx: Context, segments: list[Segment]) -> bool:
    """Same words from the same people, and a title is there: the language model has nothing new to say."""
    before = [(item.text, item.is_user, item.person_id) for item in ctx.memory.transcript_segments]
    return bool(ctx.memory.structured.title) and before == [
        (item.text, item.is_user, item.person_id) for item in segments
    ]


def _forced(ctx: Context) -> bool:
    """Asked for by a person, so never discarded: post-processing, reprocessing, a capture the user wanted kept.

    A transcript that a client brought (``force: false``) is judged like a captured one.
    """
    if ctx.run.kind == Kind.CAPTURE:
        return bool(ctx.options.get("keep"))
    return ctx.run.kind == Kind.POSTPROCESS or bool(ctx.options.get("force", True))


def _started_at(ctx: Context) -> datetime:
    if ctx.run.kind == Kind.CAPTURE:
        from datetime import UTC

        return datetime.fromtimestamp(float(ctx.output("gather")["started"]), UTC)
    return ctx.memory.time_zero or ctx.memory.started_at or ctx.memory.created_at


def _names(ctx: Context, segments: list[Segment]) -> dict[str, str]:
    wanted = {item.person_id for item in segments if item.person_id}
    if not wanted:
        return {}

    return {person: name for person, name in people.names(ctx.uid).items() if person in wanted}
