"""The openai SDK against the simulator."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import openai
import pytest
from pydantic import BaseModel, ValidationError

from demo.vendors.server import VendorServer


class Category(enum.StrEnum):
    health = "health"
    work = "work"
    other = "other"


class Event(BaseModel):
    title: str
    start: str
    duration: int


class Structured(BaseModel):
    title: str
    overview: str
    emoji: str
    category: Category
    action_items: list[str]
    events: list[Event]
    discard: bool
    note: str | None


PROMPT = """Summarise this. It started at 2026-11-22T09:30:00Z.
<transcript>
Speaker 0: The doctor says my knee pain needs medicine and the hospital is closed.
Speaker 1: We need to call the hospital about the knee tomorrow at 10:00.
</transcript>"""


def client(vendors: VendorServer, key: str = "sim-key", retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(base_url=vendors.urls["OPENAI_BASE_URL"], api_key=key, max_retries=retries, timeout=10)


def ask(vendors: VendorServer, prompt: str = PROMPT, **more: Any) -> Any:
    return client(vendors).chat.completions.parse(
        model="gpt-4o-mini", messages=[{"role": "user", "content": prompt}], response_format=Structured, **more
    )


def test_structured_output_is_made_from_the_transcript(vendors: VendorServer) -> None:
    answer = ask(vendors)
    made = answer.choices[0].message.parsed
    assert isinstance(made, Structured)
    assert not made.discard
    assert "Hospital" in made.title
    assert "knee pain" in made.overview
    assert made.category is Category.health
    assert made.action_items == ["We need to call the hospital about the knee tomorrow at 10:00."]
    assert made.events[0].start == "2026-11-22T09:30:00Z"
    assert made.events[0].duration == 30
    assert answer.usage.total_tokens > 0
    other = ask(vendors, PROMPT.replace("knee", "elbow")).choices[0].message.parsed
    assert other.overview != made.overview
    assert "elbow" in other.overview
    assert vendors.log("openai", "chat")[0]["headers"]["authorization"] == "Bearer sim-key"


def test_responses_parse(vendors: VendorServer) -> None:
    answer = client(vendors).responses.parse(model="gpt-4o-mini", input=PROMPT, text_format=Structured)
    assert answer.output_parsed is not None
    assert answer.output_parsed.category is Category.health
    vendors.faults("openai", {"kind": "refusal"})
    answer = client(vendors).responses.parse(model="gpt-4o-mini", input=PROMPT, text_format=Structured)
    assert answer.output_parsed is None


def test_refusal_length_filter_and_invalid_json(vendors: VendorServer) -> None:
    vendors.faults("openai", *({"kind": k} for k in ("refusal", "length", "content_filter", "invalid_json")))
    refused = ask(vendors).choices[0].message
    assert refused.parsed is None
    assert refused.refusal
    with pytest.raises(openai.LengthFinishReasonError):
        ask(vendors)
    with pytest.raises(openai.ContentFilterFinishReasonError):
        ask(vendors)
    with pytest.raises(ValidationError):
        ask(vendors)
    with pytest.raises(openai.LengthFinishReasonError):
        ask(vendors, max_completion_tokens=5)


def test_both_families_of_429_and_other_statuses(vendors: VendorServer) -> None:
    vendors.faults("openai", {"kind": "quota"}, {"kind": "rate", "retry_after": 3})
    with pytest.raises(openai.RateLimitError) as caught:
        ask(vendors)
    assert caught.value.code == "insufficient_quota"
    assert caught.value.type == "insufficient_quota"
    with pytest.raises(openai.RateLimitError) as caught:
        ask(vendors)
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["retry-after"] == "3"
    vendors.faults("openai", *({"kind": "refuse", "status": s} for s in (400, 403, 404, 503)))
    for kind in (
        openai.BadRequestError,
        openai.PermissionDeniedError,
        openai.NotFoundError,
        openai.InternalServerError,
    ):
        with pytest.raises(kind):
            ask(vendors)
    with pytest.raises(openai.AuthenticationError):
        client(vendors, "wrong").chat.completions.create(model="x", messages=[{"role": "user", "content": "x"}])


def test_broken_answers(vendors: VendorServer) -> None:
    vendors.faults("openai", {"kind": "drop"}, {"kind": "reset"})
    for _ in range(2):
        with pytest.raises(openai.APIConnectionError):
            ask(vendors)
    vendors.faults("openai", {"kind": "hang", "seconds": 5})
    with pytest.raises(openai.APITimeoutError):
        ask(vendors, timeout=0.3)
    for kind in ("truncated", "garbage", "html"):
        vendors.faults("openai", {"kind": kind})
        with pytest.raises(Exception) as caught:
            ask(vendors)
        assert not isinstance(caught.value, openai.APIStatusError)


def test_the_sdk_retries_what_it_counts_as_transient(vendors: VendorServer) -> None:
    vendors.faults("openai", {"kind": "refuse", "status": 500, "headers": {"retry-after-ms": "10"}})
    vector = client(vendors, retries=1).embeddings.create(model="text-embedding-3-small", input="x")
    assert vector.data
    assert [e["status"] for e in vendors.log("openai")] == [500, 200]


def test_a_loose_schema_is_refused_as_strict(vendors: VendorServer) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    with pytest.raises(openai.BadRequestError, match="additionalProperties"):
        client(vendors).chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "x"}], response_format=form
        )


def test_embeddings_are_stable_unit_vectors_and_similar_texts_are_near(vendors: VendorServer) -> None:
    texts = ["the cat sat on the mat", "a cat sits on a mat", "quarterly revenue grew by ten percent"]
    model = "text-embedding-3-large"
    answer = client(vendors).embeddings.create(model=model, input=texts)
    a, b, c = (np.array(d.embedding) for d in answer.data)
    assert a.shape == (3072,)
    assert np.linalg.norm(a) == pytest.approx(1, abs=1e-4)
    assert a @ b > 0.4 > 0.15 > abs(a @ c)
    plain = client(vendors).embeddings.create(model=model, input=texts[0], encoding_format="float")
    assert np.allclose(plain.data[0].embedding, a, atol=1e-6)
    small = client(vendors).embeddings.create(model=model, input=texts[0], dimensions=256)
    assert len(small.data[0].embedding) == 256
    with pytest.raises(openai.BadRequestError):
        client(vendors).embeddings.create(model=model, input="")
    vendors.faults("openai", {"kind": "wrong_size"}, {"kind": "zeros"})
    assert len(client(vendors).embeddings.create(model=model, input="x").data[0].embedding) == 1536
    assert not any(client(vendors).embeddings.create(model=model, input="x").data[0].embedding)


def test_a_forced_answer(vendors: VendorServer) -> None:
    vendors.faults("openai", {"kind": "answer", "content": "{}"})
    with pytest.raises(ValidationError):
        ask(vendors)
    vendors.set(openai_answer=lambda schema, messages: "said" if schema is None else None)
    plain = client(vendors).chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert plain.choices[0].message.content == "said"
