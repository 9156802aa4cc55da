"""fal.ai: queue, storage and the model runners fal-ai/whisper and fal-ai/wizper. (Webhooks: fal_webhook.py.)"""

from __future__ import annotations

import asyncio
import base64
import io
import time
import urllib.parse
from typing import Any

import aiohttp
from aiohttp import web

from demo.vendors import fal_webhook
from demo.vendors.http import bearer, body_json, error_maker, fault, new_id, refuse, state_of
from demo.vendors.live import Speakers
from demo.vendors.recognise import Heard, recognise
from demo.vendors.state import Fault, State
from demo.vendors.truth import decode

INFRASTRUCTURE = {
    429: "concurrency_limit",
    502: "runner_incomplete_response",
    503: "runner_scheduling_failure",
    504: "request_timeout",
}
CHOICES = {"task": ("transcribe", "translate"), "chunk_level": ("none", "segment", "word"), "version": ("3",)}


@error_maker("fal")
def error(status: int, fault: Fault) -> web.Response:
    """Infrastructure error, or ``{detail}`` for the others."""
    body: dict[str, Any] = {"detail": fault.get("message", f"simulated error {status}")}
    headers = {}
    kind = fault.get("error_type") or fault.get("code") or INFRASTRUCTURE.get(status)
    if kind:
        body["error_type"] = kind
        headers["X-Fal-Error-Type"] = str(kind)
    return web.json_response(body, status=status, headers=headers)


class Failed(Exception):
    """A run that ends with an error: status, body and headers of its result."""

    def __init__(self, status: int, detail: Any, kind: str, retryable: bool = False) -> None:
        super().__init__(kind)
        self.status, self.detail, self.kind, self.retryable = status, detail, kind, retryable


def _jobs(state: State) -> dict[str, Any]:
    jobs: dict[str, Any] = state.store["fal"].setdefault("jobs", {})
    return jobs


def _refused(request: web.Request) -> web.Response | None:
    if state_of(request).authorised("fal", bearer(request, "key", "bearer")):
        return None
    return refuse("fal", 401, message="Cannot access application. Authentication is required.")


async def submit(request: web.Request) -> web.StreamResponse:
    state = state_of(request)
    if refused := _refused(request):
        return refused
    parts = request.match_info["app"].strip("/").split("/")
    if len(parts) == 1 and "-" in parts[0]:  # the alias form 123-name is owner 123, app name
        parts = parts[0].split("-", 1)
    if len(parts) < 2:
        return refuse("fal", 404, message="Application not found")
    app = "/".join(parts[:2])
    if app not in ("fal-ai/whisper", "fal-ai/wizper", "110602490/whispercpp"):
        return refuse("fal", 404, message=f"Application {app!r} not found")
    arguments = await body_json(request)
    if not isinstance(arguments, dict):
        return refuse("fal", 400, message="Request body must be a JSON object")
    wait = request.headers.get("X-Fal-Request-Timeout")
    if wait is not None and float(wait) <= 0.1:
        return refuse("fal", 400, message="X-Fal-Request-Timeout must be greater than 0.1")
    number, now = new_id(), time.monotonic()
    job: dict[str, Any] = {"id": number, "app": app, "arguments": arguments, "at": now, "script": request["faults"]}
    job |= {"state": "IN_QUEUE", "output": None, "failed": None, "cancelled": False, "polls": 0}
    job["webhook"] = request.query.get("fal_webhook")
    job["deliveries"] = request["entry"]["deliveries"] = []
    _jobs(state)[number] = job
    state.spawn(_run(state, job))
    urls = _urls(state, job)
    return web.json_response({"status": "IN_QUEUE", "request_id": number, **urls, "queue_position": 0})


def _urls(state: State, job: dict[str, Any]) -> dict[str, str]:
    base = f"{state.base}/fal/{job['app']}/requests/{job['id']}"
    urls = {"response_url": base, "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}
    return urls | {"gateway_request_id": job["id"]}


async def _run(state: State, job: dict[str, Any]) -> None:
    asked = {f["kind"]: f for f in job["script"]}
    seconds = float(state.options.get("fal_seconds", 0.0))
    if "stuck" in asked and asked["stuck"].get("at", "IN_QUEUE") == "IN_QUEUE":
        return
    await asyncio.sleep(seconds / 2)
    if job["cancelled"]:
        return
    job["state"] = "IN_PROGRESS"
    if "stuck" in asked:
        return
    begun = time.monotonic()
    try:
        await asyncio.sleep(seconds / 2)
        if failed := asked.get("failed"):
            status = failed.get("status", 500)
            kind = failed.get("error_type", INFRASTRUCTURE.get(status, "internal_server_error"))
            raise Failed(status, failed.get("message", f"simulated {kind}"), kind, failed.get("retryable", False))
        job["output"] = await _model(state, job, asked)
    except Failed as problem:
        job["failed"] = problem
    job["seconds"] = time.monotonic() - begun
    if job["cancelled"]:
        return
    job["state"] = "COMPLETED"
    if job["webhook"]:
        await fal_webhook.deliver(state, job, asked.get("webhook", {}))


async def _model(state: State, job: dict[str, Any], asked: dict[str, Fault]) -> dict[str, Any]:
    arguments = job["arguments"]
    if not isinstance(arguments.get("audio_url"), str):
        detail = [{"loc": ["body", "audio_url"], "msg": "field required", "type": "missing", "input": arguments}]
        raise Failed(422, detail, "validation_error")
    for name, values in CHOICES.items():
        if name in arguments and arguments[name] not in values:
            said = f"Input should be one of {values}"
            raise Failed(422, [{"loc": ["body", name], "msg": said, "type": "literal_error"}], "validation_error")
    data = await _fetch(arguments["audio_url"])
    job["audio_bytes"] = len(data)
    import av

    try:
        samples, rate = await asyncio.to_thread(decode, io.BytesIO(data))
    except (av.error.FFmpegError, IndexError, ValueError) as problem:
        said = "Failed to load the audio. Please check that it is a valid audio file."
        detail = [{"loc": ["body", "audio_url"], "msg": said, "type": "audio_load_error"}]
        raise Failed(422, detail, "audio_load_error") from problem
    heard = [] if "empty" in asked else await asyncio.to_thread(recognise, state.library, samples, rate)
    return whisper(job["app"], arguments, heard, asked)


async def _fetch(url: str) -> bytes:
    detail = [{"loc": ["body", "audio_url"], "msg": "Failed to download the file.", "type": "file_download_error"}]
    if url.startswith("data:"):
        head, _, data = url.partition(",")
        try:
            return (
                base64.b64decode(data, validate=True)
                if head.endswith(";base64")
                else urllib.parse.unquote_to_bytes(data)
            )
        except ValueError as problem:
            raise Failed(422, detail, "file_download_error") from problem
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session, session.get(url) as answer:
            if answer.status != 200:
                raise Failed(422, detail, "file_download_error")
            return await answer.read()
    except (aiohttp.ClientError, TimeoutError, ValueError) as problem:
        raise Failed(422, detail, "file_download_error") from problem


def whisper(app: str, arguments: dict[str, Any], heard: list[Heard], asked: dict[str, Fault]) -> dict[str, Any]:
    """Output of the model: words as `` word`` chunks, or segments cut at pauses; speakers SPEAKER_00..."""
    speakers = Speakers()
    language = arguments.get("language") or "en"
    label = bool(arguments.get("diarize")) and app != "fal-ai/wizper"
    level = "segment" if app == "fal-ai/wizper" else arguments.get("chunk_level", "segment")
    names = [f"SPEAKER_{speakers.number(w.speaker):02d}" if w.speaker is not None else None for w in heard]
    if "null_speakers" in asked:
        every = asked["null_speakers"].get("every", 1)
        names = [None if k % every == 0 else n for k, n in enumerate(names)]
    chunks: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    for k, w in enumerate(heard):
        begin, end, text = round(w.start, 2), round(w.end, 2), w.word
        same = k > 0 and w.start - heard[k - 1].end < 0.6 and names[k] == names[k - 1]
        if level == "word" or not same:
            chunks.append({"timestamp": [begin, end], "text": text} | ({"speaker": names[k]} if label else {}))
        else:
            chunks[-1]["timestamp"][1] = end
            chunks[-1]["text"] += f" {text}"
        if same and turns:
            turns[-1]["timestamp"][1] = end
        elif names[k] is not None:
            turns.append({"timestamp": [begin, end], "speaker": names[k]})
    if "null_ends" in asked and chunks:
        chunks[-1]["timestamp"][1] = None
    text = " ".join(w.word for w in heard)
    if app == "fal-ai/wizper":
        return {"text": text, "chunks": chunks, "languages": [language]}
    output = {"text": text, "inferred_languages": [language], "diarization_segments": turns if label else []}
    return output | ({"chunks": chunks} if level != "none" else {})


def _find(request: web.Request) -> dict[str, Any] | web.Response:
    if refused := _refused(request):
        return refused
    job: dict[str, Any] | None = _jobs(state_of(request)).get(request.match_info["id"])
    app = f"{request.match_info['owner']}/{request.match_info['name']}"
    lost = fault(request, "unknown") or (job and any(f["kind"] == "unknown" for f in job["script"]))
    if job is None or job["app"] != app or lost:
        return refuse("fal", 404, message="Request not found")
    return job


async def status(request: web.Request) -> web.StreamResponse:
    job, state = _find(request), state_of(request)
    if isinstance(job, web.Response):
        return job
    job["polls"] += 1
    urls = {k: v for k, v in _urls(state, job).items() if k != "gateway_request_id"}
    body: dict[str, Any] = {"status": job["state"], "request_id": job["id"], **urls}
    if job["state"] == "IN_QUEUE":
        return web.json_response(body | {"queue_position": 0}, status=202)
    logs = [{"timestamp": "2026-11-22T00:00:00Z", "level": "INFO", "source": "run", "message": "transcribing"}]
    body["logs"] = logs if request.query.get("logs") in ("1", "true") else None
    if job["state"] == "IN_PROGRESS":
        return web.json_response(body, status=202)
    body["metrics"] = {"inference_time": job["seconds"]}
    if job["failed"]:
        body |= {"error": str(job["failed"].detail), "error_type": job["failed"].kind}
    return web.json_response(body)


async def result(request: web.Request) -> web.StreamResponse:
    job = _find(request)
    if isinstance(job, web.Response):
        return job
    if job["state"] != "COMPLETED":
        return web.json_response({"detail": "Request is still in progress"}, status=400)
    headers = {"x-fal-request-id": job["id"]}
    failed = job["failed"]
    if failed is None:
        return web.json_response(job["output"], headers=headers)
    if isinstance(failed.detail, list):
        headers["X-Fal-Retryable"] = "true" if failed.retryable else "false"
        return web.json_response({"detail": failed.detail}, status=failed.status, headers=headers)
    headers["X-Fal-Error-Type"] = failed.kind
    if failed.retryable:
        headers["X-Fal-Retryable"] = "true"
    body = {"detail": failed.detail, "error_type": failed.kind}
    return web.json_response(body, status=failed.status, headers=headers)


async def cancel(request: web.Request) -> web.StreamResponse:
    job = _find(request)
    if isinstance(job, web.Response):
        return job
    if job["state"] == "COMPLETED":
        return web.json_response({"status": "ALREADY_COMPLETED"}, status=400)
    job["cancelled"] = True
    job["state"] = "COMPLETED"
    job["seconds"] = 0.0
    job["failed"] = Failed(499, "Request was cancelled", "client_cancelled")
    return web.json_response({"status": "CANCELLATION_REQUESTED"}, status=202)


async def storage_token(request: web.Request) -> web.StreamResponse:
    if refused := _refused(request):
        return refused
    token = {"token": "cdn-token", "token_type": "Bearer", "base_url": f"{state_of(request).base}/fal"}
    return web.json_response(token | {"expires_at": "2099-01-01T00:00:00+00:00"})


async def upload(request: web.Request) -> web.StreamResponse:
    if bearer(request) != "cdn-token":
        return refuse("fal", 401)
    files = state_of(request).store["fal"].setdefault("files", {})
    name = f"{new_id()}-{request.headers.get('X-Fal-File-Name', 'file')}"
    files[name] = await request.read()
    return web.json_response({"access_url": f"{state_of(request).base}/fal/files/{urllib.parse.quote(name)}"})


async def download(request: web.Request) -> web.StreamResponse:
    data = state_of(request).store["fal"].get("files", {}).get(request.match_info["name"])
    return web.Response(body=data) if data is not None else web.Response(status=404)


def routes() -> list[web.RouteDef]:
    job = "/fal/{owner}/{name}/requests/{id}"
    return [
        web.get("/fal/.well-known/jwks.json", fal_webhook.jwks, name="fal.jwks"),
        web.post("/fal/storage/auth/token", storage_token, name="fal.storage_token"),
        web.post("/fal/files/upload", upload, name="fal.upload"),
        web.get("/fal/files/{name}", download, name="fal.download"),
        web.get(f"{job}/status", status, name="fal.status"),
        web.put(f"{job}/cancel", cancel, name="fal.cancel"),
        web.get(job, result, name="fal.result"),
        web.post("/fal/{app:.+}", submit, name="fal.submit"),
    ]
