"""What a run's result was made with: provider, model, version, prompt, thresholds and vocabulary of each part.

Publish writes it into the registry (``memories.registry``) and beside every transcript that it keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from memories.pipeline.engine.context import Context
from memories.pipeline.rules import acceptance
from memories.registry import records
from memories.structuring import discard, prompts
from memories.templates.shapes import SECTIONS_ONLY
from omi.core import providers, tuned
from omi.core.errors import ProviderError
from speakers import policy
from speakers.models import SpeakerDecision

VERSION = "1"
"""Of the product's own handling of a vendor's answer: grows when the same answer is read otherwise."""


def transcript(ctx: Context) -> dict[str, Any]:
    """Return what made the words that this run transcribed."""
    made = ctx.output("transcribe")
    return {
        "provider": made.get("vendor", ""), "model": made.get("model", ""), "version": VERSION,
        "thresholds": records.thresholds_of(acceptance), "vocabulary": made.get("vocabulary", ""),
    }  # fmt: skip


def parts(ctx: Context) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each part of the memory that this run made, and with what."""
    if ctx.did("transcribe") and ctx.output("assess").get("accepted") and ctx.output("transcribe").get("model"):
        yield "transcript", transcript(ctx)
    elif ctx.did("gather"):
        heard = sorted({item["stt_provider"] for item in ctx.artifact("gather", "segments") if item["stt_provider"]})
        told = {"provider": heard[0] if len(heard) == 1 else "live", "model": ", ".join(heard)[:120]}
        yield "transcript", {**told, "version": VERSION, "vocabulary": ctx.output("gather").get("vocabulary", "")}
    if ctx.did("identify_speakers"):
        yield "speakers", _speakers(ctx)
    template = (ctx.output("structure").get("structured") or {}).get("template") if ctx.did("structure") else None
    if template:
        rules = template["method"] in ("", "extractive", "nothing")
        yield "sections", {
            "provider": "local" if rules else "model", "model": template["method"], "version": template["id"][:64],
            "prompt": "" if rules else prompts.digest(),
        }  # fmt: skip
    if ctx.did("structure") and not ctx.options.get(SECTIONS_ONLY):
        method = str(ctx.output("structure").get("method") or "")
        model = method not in ("", "extractive", "first words")
        yield "structure", {
            "provider": ctx.output("structure").get("provider") or ("model" if model else "local"), "model": method,
            "version": VERSION, "prompt": prompts.digest() if model else "",
            "thresholds": records.thresholds_of(discard),
        }  # fmt: skip
    if ctx.did("index"):
        embedder = providers.one("embedder")
        yield "index", {"provider": embedder.name, "model": embedder.model_name, "version": VERSION}
    if ctx.did("emotions") and ctx.output("emotions").get("model"):
        measured = ctx.output("emotions")
        yield "emotions", {"provider": measured["vendor"], "model": measured["model"], "version": VERSION}


def keep(ctx: Context) -> None:
    """Write the registry's rows of this run. Call it where the memory is there and the run is held."""
    variants = tuned.variants(ctx.uid, ctx.memory_id)
    made = {part: {**how, "variant": variants} for part, how in parts(ctx)}
    records.keep(ctx.uid, ctx.memory_id, made, run_id=ctx.run.pk)


def _speakers(ctx: Context) -> dict[str, Any]:
    engine, version = _voice_engine(ctx)
    accept = tuned.value("speaker_accept", policy.ACCEPT, uid=ctx.uid, memory_id=ctx.memory_id)
    thresholds = records.thresholds_of(policy, more={"accept": accept})
    return {"provider": "local", "model": engine, "version": version, "thresholds": thresholds}


def _voice_engine(ctx: Context) -> tuple[str, str]:
    """Name and version of what judged the voices: in this run, else in an earlier one whose labels stay."""
    judged = ctx.output("identify_speakers")
    if judged.get("engine"):
        return judged["engine"], judged["engine_version"]
    decided = SpeakerDecision.objects.filter(uid=ctx.uid, memory_id=ctx.memory_id).exclude(engine="").first()
    if decided is not None:
        return decided.engine, decided.engine_version
    try:
        voices = providers.one("voices")
    except ProviderError:  # the engine is away: the labels that are there stay
        return "none", ""
    return voices.name, voices.version
