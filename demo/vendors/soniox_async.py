"""Soniox REST: files and asynchronous transcriptions, with webhook."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from aiohttp import web

from demo.vendors.http import bearer, body_json, fault, new_id, refuse, state_of
from demo.vendors.live import Speakers
from demo.vendors.recognise import recognise
from demo.vendors.soniox import tokens
from demo.vendors.state import State
from demo.vendors.truth import decode

MODELS = ("stt-async-v5", "stt-async-v4", "stt-async-preview")
FIELDS = set(
    "model audio_url file_id language_hints language_hints_strict enable_speaker_diarization"
    " enable_language_identification context translation webhook_url webhook_auth_header_name"
    " webhook_auth_header_value client_reference_id".split()
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _kept(state: State, kind: str) -> dict[str, Any]:
    kept: dict[str, Any] = state.store["soniox"].setdefault(kind, {})
    return kept


def guarded(handler: Handler) -> Handler:
    async def check(request: web.Request) -> web.StreamResponse:
        if not state_of(request).authorised("soniox", bearer(request)):
            return refuse("soniox", 401, message="Incorrect API key provided.")
        return await handler(request)

    return check


async def upload(request: web.Request) -> web.StreamResponse:
    if not request.content_type.startswith("multipart/"):
        return refuse("soniox", 400, message="multipart/form-data with a part named file is required")
    form = await request.post()
    part = form.get("file")
    if not isinstance(part, web.FileField):
        return refuse("soniox", 400, message="file is required")
    data = part.file.read()
    request["entry"]["body_bytes"] = len(data)
    made = {"id": new_id(), "filename": part.filename, "size": len(data), "created_at": _now()}
    if form.get("client_reference_id"):
        made["client_reference_id"] = str(form["client_reference_id"])
    _kept(state_of(request), "files")[made["id"]] = {"public": made, "data": data}
    return web.json_response(made, status=201)


async def file_get(request: web.Request) -> web.StreamResponse:
    kept = _kept(state_of(request), "files").get(request.match_info["id"])
    return web.json_response(kept["public"]) if kept else refuse("soniox", 404, message="File not found.")


async def file_delete(request: web.Request) -> web.StreamResponse:
    gone = _kept(state_of(request), "files").pop(request.match_info["id"], None)
    return web.Response(status=204) if gone else refuse("soniox", 404, message="File not found.")


async def file_list(request: web.Request) -> web.StreamResponse:
    files = [f["public"] for f in _kept(state_of(request), "files").values()]
    return web.json_response({"files": files, "next_page_cursor": None})


async def create(request: web.Request) -> web.StreamResponse:
    state, config = state_of(request), await body_json(request)
    if not isinstance(config, dict):
        return refuse("soniox", 400, message="JSON object expected")
    unknown = set(config) - FIELDS
    if unknown:
        return refuse("soniox", 400, message=f"Unknown field {sorted(unknown)[0]}.")
    if config.get("model") not in MODELS:
        return refuse("soniox", 400, code="model_not_available", message=f"Model {config.get('model')} not available.")
    if bool(config.get("audio_url")) == bool(config.get("file_id")):
        return refuse("soniox", 400, message="exactly one of audio_url and file_id is required")
    if config.get("file_id") and config["file_id"] not in _kept(state, "files"):
        return refuse("soniox", 404, message="File not found.")
    hidden = ("webhook_auth_header_value", "context", "translation")
    public: dict[str, Any] = {k: v for k, v in config.items() if k not in hidden and v is not None}
    public |= {"id": new_id(), "status": "queued", "created_at": _now()}
    for flag in ("enable_speaker_diarization", "enable_language_identification"):
        public[flag] = bool(config.get(flag))
    source = _kept(state, "files").get(config.get("file_id"))
    public["filename"] = source["public"]["filename"] if source else str(config["audio_url"]).rsplit("/", 1)[-1]
    kept = {"public": public, "config": config, "tokens": []}
    _kept(state, "transcriptions")[public["id"]] = kept
    script = list(request["faults"])
    state.spawn(_work(state, kept, source["data"] if source else None, script))
    return web.json_response(public, status=201)


async def _work(state: State, kept: dict[str, Any], data: bytes | None, script: list[dict[str, Any]]) -> None:
    public, config = kept["public"], kept["config"]
    asked = {f["kind"]: f for f in script}
    public["status"] = "processing"
    if "stuck" in asked:
        return
    await asyncio.sleep(state.options.get("soniox_seconds", 0.0))
    try:
        if data is None:
            async with aiohttp.ClientSession() as session, session.get(config["audio_url"]) as answer:
                answer.raise_for_status()
                data = await answer.read()
        if "failed" in asked:
            raise ValueError(asked["failed"].get("message", "simulated failure"))
        samples, rate = await asyncio.to_thread(decode, io.BytesIO(data))
        public["audio_duration_ms"] = round(1000 * len(samples) / rate)
        heard = [] if "empty" in asked else await asyncio.to_thread(recognise, state.library, samples, rate)
        label = public["enable_speaker_diarization"] and "null_speakers" not in asked
        hints = config.get("language_hints") or ["en"]
        language = hints[0] if public["enable_language_identification"] else None
        kept["tokens"] = tokens(heard, Speakers() if label else None, language)
        public["status"] = "completed"
    except (ValueError, OSError, IndexError, aiohttp.ClientError) as problem:
        kind = asked.get("failed", {}).get("error_type", "invalid_audio_file")
        public |= {"status": "error", "error_type": kind, "error_message": str(problem)}
    if config.get("webhook_url"):
        await _notify(kept, asked.get("webhook", {}))


async def _notify(kept: dict[str, Any], ask: dict[str, Any]) -> None:
    public, config = kept["public"], kept["config"]
    headers = {}
    if config.get("webhook_auth_header_name") and ask.get("mode") != "unsigned":
        wrong = ask.get("mode") == "bad_signature"
        headers[config["webhook_auth_header_name"]] = "wrong" if wrong else config.get("webhook_auth_header_value", "")
    if ask.get("mode") == "never":
        return
    await asyncio.sleep(ask.get("seconds", 0.0))
    body = {"id": public["id"], "status": public["status"]}
    for _ in range(2 if ask.get("mode") == "twice" else 1):
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(config["webhook_url"], json=body, headers=headers) as answer,
            ):
                public["webhook_status_code"] = answer.status
        except aiohttp.ClientError:
            public["webhook_status_code"] = 0


def _find(request: web.Request) -> dict[str, Any] | None:
    if fault(request, "unknown"):
        return None
    kept: dict[str, Any] | None = _kept(state_of(request), "transcriptions").get(request.match_info["id"])
    return kept


async def transcription(request: web.Request) -> web.StreamResponse:
    kept = _find(request)
    return web.json_response(kept["public"]) if kept else refuse("soniox", 404, message="Transcription not found.")


async def transcription_list(request: web.Request) -> web.StreamResponse:
    every = [t["public"] for t in _kept(state_of(request), "transcriptions").values()]
    return web.json_response({"transcriptions": every, "next_page_cursor": None})


async def transcript(request: web.Request) -> web.StreamResponse:
    kept = _find(request)
    if kept is None:
        return refuse("soniox", 404, message="Transcription not found.")
    if kept["public"]["status"] != "completed":
        return refuse("soniox", 409, message="Transcription is not completed.")
    text = "".join(t["text"] for t in kept["tokens"]).strip()
    return web.json_response({"id": kept["public"]["id"], "text": text, "tokens": kept["tokens"]})


async def transcription_delete(request: web.Request) -> web.StreamResponse:
    kept = _find(request)
    if kept is None:
        return refuse("soniox", 404, message="Transcription not found.")
    if kept["public"]["status"] == "processing":
        return refuse("soniox", 409, message="Transcription is being processed.")
    del _kept(state_of(request), "transcriptions")[kept["public"]["id"]]
    return web.Response(status=204)


async def temporary_key(request: web.Request) -> web.StreamResponse:
    config = await body_json(request) or {}
    seconds = config.get("expires_in_seconds", 0)
    if not 1 <= seconds <= 3600:
        return refuse("soniox", 400, message="expires_in_seconds out of range")
    key = f"temp:{new_id()}"
    state_of(request).keys["soniox"].add(key)
    expires = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    return web.json_response({"api_key": key, "expires_at": expires}, status=201)


def routes() -> list[web.RouteDef]:
    base = "/soniox/v1"
    return [
        web.post(f"{base}/files", guarded(upload), name="soniox.upload"),
        web.get(f"{base}/files", guarded(file_list), name="soniox.files"),
        web.get(f"{base}/files/{{id}}", guarded(file_get), name="soniox.file"),
        web.delete(f"{base}/files/{{id}}", guarded(file_delete), name="soniox.file_delete"),
        web.post(f"{base}/transcriptions", guarded(create), name="soniox.create"),
        web.get(f"{base}/transcriptions", guarded(transcription_list), name="soniox.list"),
        web.get(f"{base}/transcriptions/{{id}}", guarded(transcription), name="soniox.poll"),
        web.get(f"{base}/transcriptions/{{id}}/transcript", guarded(transcript), name="soniox.transcript"),
        web.delete(f"{base}/transcriptions/{{id}}", guarded(transcription_delete), name="soniox.delete"),
        web.post(f"{base}/auth/temporary-api-key", guarded(temporary_key), name="soniox.temporary_key"),
    ]
