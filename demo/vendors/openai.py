"""OpenAI: chat completions and responses with json_schema answers made from the prompt, and embeddings."""

from __future__ import annotations

import base64
import json
import math
import re
import time
from typing import Any
from zlib import crc32

import numpy as np
from aiohttp import web

from demo.vendors.http import bearer, body_json, error_maker, fault, new_id, refuse, state_of
from demo.vendors.openai_answer import instance, transcript_of
from demo.vendors.state import Fault

KINDS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "permission_denied"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", "service_unavailable"),
}
DIMENSIONS = {"text-embedding-3-large": 3072, "text-embedding-3-small": 1536, "text-embedding-ada-002": 1536}


@error_maker("openai")
def error(status: int, fault: Fault) -> web.Response:
    kind, code = KINDS.get(status, ("invalid_request_error" if status < 500 else "server_error", None))
    message = fault.get("message", f"simulated error {status}")
    kind, code = fault.get("type", kind), fault.get("code", code)
    body = {"error": {"message": message, "type": kind, "param": fault.get("param"), "code": code}}
    return web.json_response(body, status=status, headers={"x-request-id": f"req_{new_id()}"})


async def _opened(request: web.Request) -> dict[str, Any] | web.Response:
    """The JSON body, or the answer of a wrong key, an asked-for 429 or a bad body."""
    if not state_of(request).authorised("openai", bearer(request)):
        return refuse("openai", 401, message="Incorrect API key provided.")
    if quota := fault(request, "quota"):
        code = quota.get("code", "insufficient_quota")
        said = "You exceeded your current quota, please check your plan and billing details."
        return refuse("openai", 429, type="insufficient_quota", code=code, message=said)
    if rate := fault(request, "rate"):
        headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s"}
        wait = {"retry_after": rate["retry_after"]} if "retry_after" in rate else {}
        return refuse("openai", 429, message="Rate limit reached for requests", headers=headers, **wait)
    body = await body_json(request)
    if not isinstance(body, dict):
        return refuse("openai", 400, message="We could not parse the JSON body of your request.")
    if not isinstance(body.get("model"), str):
        return refuse("openai", 400, message="you must provide a model parameter", param="model")
    if body["model"].startswith("retired"):
        return refuse("openai", 404, message=f"The model `{body['model']}` does not exist or has been deprecated.")
    return body


def _loose(schema: Any, path: str = "()") -> str | None:
    """Where a schema breaks the rules of strict mode, or None."""
    if isinstance(schema, list):
        return next((p for s in schema if (p := _loose(s, path))), None)
    if not isinstance(schema, dict):
        return None
    if schema.get("type") == "object" or "properties" in schema:
        names = set(schema.get("properties", {}))
        if schema.get("additionalProperties") is not False:
            return f"In context={path}, 'additionalProperties' is required to be supplied and to be false."
        if names != set(schema.get("required", [])):
            return f"In context={path}, 'required' is required to include every key in properties."
    for key in ("properties", "$defs"):
        for name, inner in schema.get(key, {}).items():
            if problem := _loose(inner, f"({path}, {name})"):
                return problem
    return _loose(schema.get("items"), path) or _loose(schema.get("anyOf"), path)


def _content(parts: Any) -> str:
    if isinstance(parts, str):
        return parts
    return "\n".join(str(p.get("text", "")) for p in parts or [] if isinstance(p, dict))


def _answer(request: web.Request, schema: dict[str, Any] | None, messages: list[dict[str, Any]]) -> str:
    forced = fault(request, "answer")
    if forced:
        made = forced["content"]
        return made if isinstance(made, str) else json.dumps(made)
    chooser = state_of(request).options.get("openai_answer")
    if chooser is not None:
        made = chooser(schema, messages)
        if made is not None:
            return made if isinstance(made, str) else json.dumps(made)
    asked = [_content(m.get("content")) for m in messages if m.get("role") == "user"]
    system = "\n".join(_content(m.get("content")) for m in messages if m.get("role") != "user")
    transcript = transcript_of("\n\n".join(asked) or system)
    if schema is None:
        return " ".join(transcript.split()[:60]) or "There is nothing to say about this."
    return json.dumps(instance(schema, transcript, "\n".join([system, *asked])), ensure_ascii=False)


def _produce(request: web.Request, form: Any, messages: Any, limit: Any) -> tuple[str | None, str | None, str] | str:
    """(content, refusal, finish reason), or the message of a 400."""
    schema = None
    if isinstance(form, dict) and form.get("type") == "json_schema":
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", str(form.get("name", ""))):
            return "Invalid 'response_format.json_schema.name'"
        schema = form.get("schema")
        if not isinstance(schema, dict):
            return "Missing required parameter: schema"
        if form.get("strict") and (problem := _loose(schema)):
            return f"Invalid schema for response_format '{form['name']}': {problem}"
    if fault(request, "refusal"):
        return None, "I'm sorry, I cannot assist with that request.", "stop"
    content = _answer(request, schema, messages)
    if fault(request, "invalid_json"):
        return content[: len(content) // 2] + " ...", None, "stop"
    if fault(request, "content_filter"):
        return content[: len(content) // 2], None, "content_filter"
    short = isinstance(limit, int) and len(content) > 4 * limit
    if short or fault(request, "length"):
        return content[: min(len(content) // 2, 4 * limit if short else len(content))], None, "length"
    return content, None, "stop"


def _tokens(text: str) -> int:
    return math.ceil(len(text) / 4)


async def chat(request: web.Request) -> web.StreamResponse:
    body = await _opened(request)
    if isinstance(body, web.Response):
        return body
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return refuse("openai", 400, message="Missing required parameter: 'messages'.", param="messages")
    form = body.get("response_format") or {}
    form = {"type": form.get("type"), **(form.get("json_schema") or {})}
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    made = _produce(request, form, messages, limit)
    if isinstance(made, str):
        return refuse("openai", 400, message=made, param="response_format")
    content, refusal, reason = made
    if body.get("stream"):
        return await _streamed(request, str(body["model"]), content, refusal, reason)
    message = {"role": "assistant", "content": content, "refusal": refusal, "annotations": []}
    given = sum(_tokens(_content(m.get("content"))) for m in messages)
    used = _tokens(content or refusal or "")
    answer = {
        "id": f"chatcmpl-{new_id()}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": [{"index": 0, "finish_reason": reason, "message": message, "logprobs": None}],
        "usage": {"prompt_tokens": given, "completion_tokens": used, "total_tokens": given + used},
    }
    return web.json_response(answer, headers={"x-request-id": f"req_{new_id()}"})


async def _streamed(
    request: web.Request, model: str, content: str | None, refusal: str | None, reason: str
) -> web.StreamResponse:
    """The answer in pieces of a few characters, as server-sent events."""
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "x-request-id": f"req_{new_id()}"})
    await answer.prepare(request)
    name, text = ("refusal", refusal) if refusal else ("content", content or "")
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({name: (text or "")[at : at + 12]}, None) for at in range(0, len(text or ""), 12)]
    identity, now = f"chatcmpl-{new_id()}", int(time.time())
    for delta, end in [*deltas, ({}, reason)]:
        chunk = {
            "id": identity, "object": "chat.completion.chunk", "created": now, "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": end, "logprobs": None}],
        }  # fmt: skip
        await answer.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await answer.write(b"data: [DONE]\n\n")
    await answer.write_eof()
    return answer


async def responses(request: web.Request) -> web.StreamResponse:
    body = await _opened(request)
    if isinstance(body, web.Response):
        return body
    given = body.get("input")
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else list(given or [])
    if not messages:
        return refuse("openai", 400, message="Missing required parameter: 'input'.", param="input")
    if body.get("instructions"):
        messages.insert(0, {"role": "system", "content": body["instructions"]})
    form = (body.get("text") or {}).get("format") or {}
    made = _produce(request, form, messages, body.get("max_output_tokens"))
    if isinstance(made, str):
        return refuse("openai", 400, message=made, param="text.format")
    content, refusal, reason = made
    part = {"type": "refusal", "refusal": refusal} if refusal else {"type": "output_text", "text": content}
    if not refusal:
        part["annotations"] = []  # type: ignore[assignment]
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reason)
    status = "incomplete" if cut else "completed"
    output = {"type": "message", "id": f"msg_{new_id()}", "status": status, "role": "assistant", "content": [part]}
    tokens = (sum(_tokens(_content(m.get("content"))) for m in messages), _tokens(content or refusal or ""))
    usage = {
        "input_tokens": tokens[0],
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": tokens[1],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sum(tokens),
    }
    answer = {
        "id": f"resp_{new_id()}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "model": body["model"],
        "output": [output],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": {"reason": cut} if cut else None,
        "usage": usage,
    }
    return web.json_response(answer)


def embed(text: str, dimensions: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Unit vector of hashed words (and their five-letter stems): similar texts give similar vectors."""
    vector = np.zeros(dimensions, np.float32)
    for word in re.findall(r"\w+", text.lower()) or [text]:
        for part, weight in ((word, 1.0), (word[:5], 0.5)):
            spot = crc32(part.encode())
            vector[spot % dimensions] += weight * (1 if spot >> 31 else -1)
    vector = np.sign(vector) * np.sqrt(np.abs(vector))
    if not vector.any():
        vector[0] = 1.0
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


async def embeddings(request: web.Request) -> web.StreamResponse:
    body = await _opened(request)
    if isinstance(body, web.Response):
        return body
    if body["model"] not in DIMENSIONS:
        return refuse("openai", 404, message=f"The model `{body['model']}` does not exist.")
    given = body.get("input")
    single = isinstance(given, str) or (isinstance(given, list) and bool(given) and isinstance(given[0], int))
    texts = [given] if single else given
    if not isinstance(texts, list) or not texts or any(t == "" or t == [] for t in texts):
        return refuse("openai", 400, message="'$.input' is invalid.", param="input")
    texts = [t if isinstance(t, str) else " ".join(map(str, t)) for t in texts]
    if len(texts) > 2048 or sum(map(_tokens, texts)) > 300_000 or max(map(_tokens, texts)) > 8192:
        return refuse("openai", 400, message="Requested too many inputs or tokens.", param="input")
    size = body.get("dimensions") or DIMENSIONS[body["model"]]
    if not 1 <= size <= DIMENSIONS[body["model"]]:
        return refuse("openai", 400, message="Invalid value for 'dimensions'.", param="dimensions")
    size = size // 2 if fault(request, "wrong_size") else size
    data = []
    for index, text in enumerate(texts):
        vector = np.zeros(size, np.float32) if fault(request, "zeros") else embed(text, size)
        as_text = base64.b64encode(vector.astype("<f4").tobytes()).decode()
        value = as_text if body.get("encoding_format") == "base64" else [float(v) for v in vector]
        data.append({"object": "embedding", "index": index, "embedding": value})
    used = sum(map(_tokens, texts))
    usage = {"prompt_tokens": used, "total_tokens": used}
    return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})


async def model(request: web.Request) -> web.StreamResponse:
    """What the vendor says of a model; of one without an announced end its date is null."""
    if not state_of(request).authorised("openai", bearer(request)):
        return refuse("openai", 401, message="Incorrect API key provided.")
    name = request.match_info["model"]
    if name.startswith("retired"):
        return refuse("openai", 404, message=f"The model '{name}' does not exist", code="model_not_found")
    known = {"id": name, "object": "model", "created": 1715367049, "owned_by": "system", "shutdown_date": None}
    return web.json_response(known)


def routes() -> list[web.RouteDef]:
    return [
        web.get("/openai/v1/models/{model}", model, name="openai.model"),
        web.post("/openai/v1/chat/completions", chat, name="openai.chat"),
        web.post("/openai/v1/responses", responses, name="openai.responses"),
        web.post("/openai/v1/embeddings", embeddings, name="openai.embeddings"),
    ]
