"""The sections of a summary template, filled within the step that makes the summary.

Where the language model cannot be asked, they are filled by rules: the summary itself is there, and is not made again
for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, Final

from pydantic import TypeAdapter

from memories.document_parts import AppliedTemplate
from memories.mirror.models import MemoryRow
from memories.pipeline.engine import content_hash
from memories.pipeline.engine.context import Context
from memories.pipeline.models import VendorCall
from memories.pipeline.rules import changes
from memories.pipeline.states import Kind
from memories.pipeline.vendor_calls import client
from memories.repository import memories as repository
from memories.shapes import Memory, Structured
from memories.structuring.base import FillResult, StructureRequest, Wanted
from memories.structuring.local import LocalStructurer
from memories.templates import store
from memories.templates.shapes import SECTIONS_ONLY, Template
from omi.core.errors import OwnFault, ProviderError
from omi.core.partial_results import PartialResults
from transcription.segments import render

ANSWER: Final[TypeAdapter[FillResult]] = TypeAdapter(FillResult)

Here = Callable[[Any, StructureRequest, list[Wanted], Structured], FillResult]


def kept_summary(ctx: Context) -> Structured | None:
    """What the machine made of the memory, where the sections alone are wanted; None where all of it is."""
    if not ctx.options.get(SECTIONS_ONLY) or ctx.run.kind == Kind.CAPTURE or not ctx.memory.structured.title:
        return None
    return ctx.memory.structured.model_copy(update={"action_items": changes.made_items(ctx.memory)})


def inputs(ctx: Context) -> dict[str, Any]:
    """What the sections depend on, beside the talk; nothing where no template can apply."""
    choice, memory = _choice(ctx)
    named = {choice, *ctx.user.templates.values()} - {None, "", store.NONE}
    if not named and choice is None:
        return {}
    language = _language(ctx)
    found = [store.find(ctx.uid, name, language) for name in sorted(str(name) for name in named)]
    whole = [choice, sorted(ctx.user.templates.items()), [item and item.model_dump() for item in found]]
    only = ctx.options.get(SECTIONS_ONLY)
    before = memory.structured.model_dump(mode="json") if memory is not None and only else None
    return {"template": content_hash.of([whole, before])}


def filled(
    ctx: Context, provider: Any, request: StructureRequest, made: Structured, here: Here, checkpoint: dict[str, Any]
) -> Structured:
    """Return ``made`` with the sections of the memory's template; those that it has, where that was deleted.

    ``checkpoint`` holds the summary, which was paid for, while the sections are waited for. Raises AnswersLater.
    """
    choice, memory = _choice(ctx)
    category = memory.edits.category if memory is not None and memory.edits.category else made.category
    name = store.chosen(ctx.user, choice, category.value)
    if name is None:
        return made.model_copy(update={"sections": [], "template": None})
    template = store.find(ctx.uid, name, _language(ctx))
    if template is None:
        before = memory.structured if memory is not None else made
        return made.model_copy(update={"sections": before.sections, "template": before.template})
    ctx.use_answers()
    found = _asked(ctx, provider, request, template, made, here, checkpoint)
    used = AppliedTemplate(id=template.id, name=template.name, method=found.method)
    return made.model_copy(update={"sections": found.sections, "template": used})


def _asked(
    ctx: Context, provider: Any, request: StructureRequest, template: Template, made: Structured, here: Here,
    checkpoint: dict[str, Any],
) -> FillResult:  # fmt: skip
    wanted = [Wanted(item.heading, item.instruction, item.rule) for item in template.sections]

    def call(record: VendorCall, parts: PartialResults) -> FillResult:
        result: FillResult = (
            provider.fill(replace(request, parts=parts), wanted, made)
            if provider.remote
            else here(provider, request, wanted, made)
        )
        record.input_tokens, record.output_tokens = result.input_tokens, result.output_tokens
        record.cost = result.cost
        return result

    what = [
        content_hash.of(render(request.segments, names=request.names)), provider.model_name, request.answer_language,
        [asdict(item) for item in wanted], template.id,
    ]  # fmt: skip
    asked = client.Question(provider.name, "sections", what, ANSWER, remote=provider.remote, limit=request.timeout)
    try:
        return client.ask(ctx, asked, lambda: call, checkpoint)
    except (ProviderError, OwnFault) as error:
        ctx.log.warning("sections_by_rules", error=type(error).__name__)
        return here(LocalStructurer(), request, wanted, made)


def _choice(ctx: Context) -> tuple[str | None, Memory | None]:
    """What the user chose for this memory, and the memory where it is there: that of a conversation mostly is not."""
    memory: Memory | None = None
    if ctx.run.kind != Kind.CAPTURE:
        memory = ctx.memory
    elif MemoryRow.objects.filter(uid=ctx.uid, memory_id=ctx.memory_id).exists():
        memory = repository.find_memory(ctx.uid, ctx.memory_id)
    return (None, None) if memory is None else (memory.edits.template_id, memory)


def _language(ctx: Context) -> str | None:
    return ctx.user.language or ctx.language
