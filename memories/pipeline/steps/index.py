"""The embedding of the structured text. Publish writes it, after the document."""

from __future__ import annotations

import math
from typing import Any, Final

from pydantic import TypeAdapter

from memories.pipeline import subprocess_runner
from memories.pipeline.engine import content_hash
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import Done, Skip
from memories.pipeline.models import VendorCall
from memories.pipeline.rules import changes, user_edits
from memories.pipeline.states import Kind
from memories.pipeline.vendor_calls import client, patience
from memories.shapes import Structured
from omi.core import providers
from omi.core.errors import ErrorKind, ProviderError
from omi.core.partial_results import PartialResults

VERSION = 1
REUSE = "always"  # the same text has the same vector, whoever asks and why
ANSWER: Final = TypeAdapter(list[float])
COMPUTING: Final = 60.0  # on this machine; a text takes a tenth of a second


def inputs(ctx: Context) -> dict[str, Any]:
    """Return what the vector depends on: the structured text, the embedder's model and its dimension."""
    provider = ctx.provider("embedder")
    return {"text": content_hash.of(_text(ctx)), "model": provider.model_name, "dimension": provider.dimension}


def run(ctx: Context) -> Done | Skip:
    """Ask the embedder for the structured text's vector; raises ProviderError where it is not finite or of another
    size."""
    if ctx.output("structure").get("discarded"):
        return Skip("the conversation is not kept")
    if not ctx.did("structure"):
        return Skip("the structure did not change")
    text = _text(ctx)
    if not text.strip():
        return Skip("there is no text")
    provider = ctx.provider("embedder")
    what = [content_hash.of(text), provider.model_name]

    def call(record: VendorCall, parts: PartialResults) -> list[float]:
        record.input_tokens = len(text) // 4 if provider.remote else 0
        record.cost = provider.price * record.input_tokens / 1e6
        vectors = provider.embed([text]) if provider.remote else _here(provider, text)
        vector = [float(value) for value in vectors[0]] if len(vectors) == 1 else []
        if len(vector) != provider.dimension or not any(vector) or not all(map(math.isfinite, vector)):
            raise ProviderError(
                provider.name, "the embedding has the wrong size or holds no numbers", kind=ErrorKind.TRANSIENT,
                code="bad_vector",
            )  # fmt: skip
        return vector

    asked = client.Question(provider.name, "embed", what, ANSWER, remote=provider.remote, limit=patience.EMBEDDING)
    vector = client.ask(ctx, asked, lambda: call)
    return Done({"model": provider.model_name, "dimension": provider.dimension}, {"vector": vector})


def _here(provider: Any, text: str) -> list[list[float]]:
    """On this machine: in a child process, which is killed when it takes too long."""
    backend, options = providers.named("embedder", provider)
    arguments = {"backend": backend, "options": options, "texts": [text]}
    vectors: list[list[float]] = subprocess_runner.call(
        "memories.pipeline.audio_analysis.embed", arguments, timeout=COMPUTING
    )
    return vectors


def _text(ctx: Context) -> str:
    """What is embedded: the structure as the user will see it, their own title included."""
    made = Structured.model_validate(ctx.output("structure").get("structured") or {})
    if ctx.run.kind != Kind.CAPTURE:
        made = changes.lay_items(user_edits.structured(made, ctx.memory.edits), ctx.memory.edits)
    return made.text()
