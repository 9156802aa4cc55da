"""How it was said, if it was asked for. Optional: its failure is recorded and shown, and fails nothing."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter

from emotions.base import EmotionRequest, EmotionTimeline
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import Done, Skip
from memories.pipeline.models import VendorCall
from memories.pipeline.steps.structure import result_segments
from memories.pipeline.vendor_calls import client, patience
from omi.core.errors import Outcome
from omi.core.partial_results import PartialResults

LIMIT = 900.0
ANSWER: Final = TypeAdapter(EmotionTimeline)


def inputs(ctx: Context) -> dict[str, Any]:
    """Return what the measurement depends on: the audio, the segments, the model, and whether it was asked for."""
    return {
        "wav": ctx.output("prepare_audio").get("sha256"), "segments": ctx.output("identify_speakers").get("hash"),
        "model": ctx.provider("emotions").model_name, "asked": asked(ctx),
    }  # fmt: skip


def asked(ctx: Context) -> bool:
    """Whether anybody wants what this step makes: as every optional step says."""
    return ctx.emotions_asked


def run(ctx: Context) -> Done | Skip:
    """Ask the vendor of emotions how each passage was said, and keep its time line."""
    if not asked(ctx):
        return Skip("not asked for")
    if ctx.output("prepare_audio").get("silence"):
        return Skip("nobody speaks")
    provider = ctx.provider("emotions")
    prepared = ctx.output("prepare_audio")

    def prepare() -> client.Made[EmotionTimeline]:
        path, segments, language = ctx.wav(), result_segments(ctx), ctx.language
        seconds = float(prepared["seconds"])

        def call(record: VendorCall, parts: PartialResults) -> EmotionTimeline:
            if not provider.remote:
                record.audio_seconds = seconds  # what is paid for is told part by part
            request = EmotionRequest(path, seconds, segments, language, patience.EMOTIONS, parts)
            made: EmotionTimeline = provider.measure(request)
            return made

        return call

    what = [prepared["sha256"], provider.model_name]
    question = client.Question(provider.name, "emotions", what, ANSWER, remote=provider.remote, limit=patience.EMOTIONS)
    timeline = client.ask(ctx, question, prepare)
    return Done(
        {"vendor": timeline.vendor, "model": timeline.model, "kind": timeline.kind, "spans": len(timeline.spans)},
        {"timeline": timeline.model_dump(mode="json")},
        outcome=Outcome.SUCCESS if timeline.spans else Outcome.EMPTY_UNEXPECTED,
        note=timeline.note,
    )
