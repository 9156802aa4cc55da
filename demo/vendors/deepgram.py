"""Deepgram: live /v1/listen and the pre-recorded POST of the same path, with callback."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web

from demo.vendors.http import bearer, error_maker, fault, new_id, refuse, state_of
from demo.vendors.live import RAW, Decoder, Event, Speakers, Utterances, bare
from demo.vendors.recognise import Heard, recognise
from demo.vendors.socket import Gone, InBand, Socket
from demo.vendors.state import Fault
from demo.vendors.truth import decode

MODEL = {"name": "general-nova-3", "version": "2026-05-01.0", "arch": "nova-3"}
MODEL_ID = "6c8a5d2e-1f0b-4b3c-9a37-0d5e7f1c2b4a"
ENCODINGS = {"linear16", "linear32", "flac", "alaw", "mulaw", "amr-nb", "amr-wb", "opus", "ogg-opus", "speex", "g729"}
KEYS = set(
    "model language encoding sample_rate channels interim_results endpointing utterance_end_ms vad_events smart_format"
    " punctuate numerals profanity_filter redact keyterm keywords multichannel diarize diarize_model detect_entities"
    " language_hint mip_opt_out tag extra callback callback_method version utterances utt_split paragraphs"
    " detect_language filler_words summarize sentiment topics custom_topic custom_topic_mode intents custom_intent"
    " custom_intent_mode dictation measurements replace search no_delay".split()
)
CODES = {
    400: "Bad Request",
    401: "INVALID_AUTH",
    402: "ASR_PAYMENT_REQUIRED",
    403: "INSUFFICIENT_PERMISSIONS",
    408: "REQUEST_TIMEOUT",
    413: "PAYLOAD_TOO_LARGE",
    422: "ASR_UNPROCESSABLE_ENTITY",
    429: "TOO_MANY_REQUESTS",
    503: "SERVICE_UNAVAILABLE",
    504: "GATEWAY_TIMEOUT",
}
IDLE = (
    "NET-0001: Deepgram did not receive audio data or a text message within the timeout window."
    " See https://dpgr.am/net0001"
)


@error_maker("deepgram")
def error(status: int, fault: Fault) -> web.Response:
    """The vendor's error body and its two headers."""
    request_id, code = new_id(), str(fault.get("code", CODES.get(status, "INTERNAL_SERVER_ERROR")))
    message = fault.get("message", f"simulated {code}")
    body = {"err_code": code, "err_msg": message, "request_id": request_id}
    return web.json_response(body, status=status, headers={"dg-error": message, "dg-request-id": request_id})


def _check(request: web.Request, live: bool) -> web.Response | None:
    state, query = state_of(request), request.query
    protocols = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    key = bearer(request, "token", "bearer") or (protocols[1] if protocols[0] == "token" and len(protocols) > 1 else "")
    if not state.authorised("deepgram", key):
        return refuse("deepgram", 401, message="Invalid credentials.")
    unknown = set(query) - KEYS
    if unknown:
        return refuse("deepgram", 400, message=f"Bad Request: unknown query parameter {sorted(unknown)[0]}")
    if live and not query.get("model"):
        return refuse("deepgram", 400, message="Bad Request: model is required")
    if live and "encoding" in query:
        if query["encoding"] not in ENCODINGS:
            return refuse("deepgram", 400, message=f"Bad Request: unsupported encoding {query['encoding']}")
        if not query.get("sample_rate", "").isdigit() or not 8000 <= int(query["sample_rate"]) <= 48000:
            return refuse("deepgram", 400, message="Bad Request: sample_rate is required with encoding")
        if query["encoding"] != "opus" and query["encoding"] not in RAW:
            return refuse("deepgram", 400, message=f"the simulator cannot decode encoding {query['encoding']}")
    if live and query.get("diarize_model") == "v2":
        return refuse("deepgram", 400, message="Bad Request: diarize_model v2 is not available for streaming")
    if live and "utterance_end_ms" in query:
        ms = query["utterance_end_ms"]
        if not ms.isdigit() or int(ms) < 1000 or query.get("interim_results") != "true":
            return refuse("deepgram", 400, message="Bad Request: utterance_end_ms needs >= 1000 and interim_results")
    return None


def _word(w: Heard, speaker: int | None, query: Any, offset: float = 0.0) -> dict[str, Any]:
    start, end = round(w.start - offset, 3), round(w.end - offset, 3)
    out: dict[str, Any] = {"word": bare(w.word), "start": start, "end": end, "confidence": 0.98}
    if query.get("punctuate") == "true" or query.get("smart_format") == "true":
        out["punctuated_word"] = w.word
    if speaker is not None:
        out["speaker"] = speaker
    return out


def _text(words: list[dict[str, Any]]) -> str:
    return " ".join(w.get("punctuated_word", w["word"]) for w in words)


def _diarize(query: Any) -> bool:
    return query.get("diarize") == "true" or query.get("diarize_model", "") in ("latest", "v1", "v2")


class Live:
    """One streaming connection."""

    def __init__(self, request: web.Request) -> None:
        query = self.query = request.query
        self.socket, self.id = Socket(request, ("token",)), new_id()
        rate = int(query.get("sample_rate", 16000))
        self.channels = int(query.get("channels", 1))
        self.decoder = Decoder(query.get("encoding"), rate, self.channels)
        endpointing = query.get("endpointing", "10")
        endpoint = None if endpointing == "false" else (10 if endpointing == "true" else int(endpointing)) / 1000
        gap = int(query.get("utterance_end_ms", 0)) / 1000
        library = state_of(request).library
        self.utterances = Utterances(library, rate, endpoint, longest=5.0, gap=gap)
        self.speakers, self.sha = Speakers(), hashlib.sha256()

    async def run(self) -> web.StreamResponse:
        socket = self.socket
        await socket.accept({"dg-request-id": self.id})
        idle = 10.0 * socket.state.scale
        try:
            while await self._frame(await socket.receive(timeout=idle)):
                pass
        except TimeoutError:
            await socket.close(1011, IDLE)
        except ValueError as problem:
            await socket.close(1008, f"DATA-0000: {problem}")
        except InBand as ask:
            message = ask.fault.get("message", "simulated error")
            error = {"type": "Error", "variant": ask.fault.get("type", "INTERNAL"), "description": message}
            await socket.ws.send_json({**error, "message": message, "code": str(ask.fault.get("code", ""))})
            await socket.close(ask.fault.get("close", 1011), message)
        except Gone:
            pass
        return socket.end()

    async def _frame(self, frame: bytes | str) -> bool:
        socket = self.socket
        if isinstance(frame, bytes):
            if not frame:
                await self._finish()
                return False
            self.sha.update(frame)
            pcm = self.decoder.feed(frame)
            for event in self.utterances.feed(pcm):
                await self._send(event)
            socket.audio = self.utterances.now
            return True
        try:
            message = json.loads(frame)
            kind = message["type"]
        except (ValueError, KeyError, TypeError):
            kind = None
        if kind == "CloseStream":
            await self._finish()
            return False
        if kind == "Finalize":
            if not socket.has("ignore_finalize"):
                await self._finalize()
        elif kind == "Configure":
            await socket.send({"type": "ConfigureSuccess"}, result=False)
        elif kind != "KeepAlive":
            problem = {
                "type": "Error",
                "variant": "SchemaError",
                "description": "Could not deserialize last text message",
            }
            await socket.send({**problem, "message": "Please ensure it is valid JSON"}, result=False)
        return True

    async def _finalize(self) -> None:
        events = list(self.utterances.finalize())
        for event in events or [Event("final", self.utterances.now, self.utterances.start)]:
            await self._send(event, from_finalize=True)

    async def _finish(self) -> None:
        for event in self.utterances.flush():
            await self._send(event)
        await self.socket.release()
        created = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        meta = {"type": "Metadata", "transaction_key": "deprecated", "request_id": self.id, "created": created}
        size = {"sha256": self.sha.hexdigest(), "duration": round(self.utterances.now, 4), "channels": self.channels}
        await self.socket.send({**meta, **size}, result=False)
        await self.socket.close(1000)

    async def _send(self, event: Event, from_finalize: bool = False) -> None:
        query, socket = self.query, self.socket
        if socket.has("empty") and event.words:
            return
        if event.kind == "started":
            if query.get("vad_events") == "true":
                started = {"type": "SpeechStarted", "channel": [0], "timestamp": round(event.start, 3)}
                await socket.send(started, result=False)
        elif event.kind == "gap":
            end = {"type": "UtteranceEnd", "channel": [0, self.channels], "last_word_end": round(event.start, 3)}
            await socket.send(end, result=False)
        elif event.kind != "interim" or query.get("interim_results") == "true":
            await socket.send(self._results(event, from_finalize), final=event.kind == "final")

    def _results(self, event: Event, from_finalize: bool) -> dict[str, Any]:
        label = _diarize(self.query) and not self.socket.has("null_speakers")
        words = [_word(w, self.speakers.number(w.speaker) if label else None, self.query) for w in event.words]
        alternative: dict[str, Any] = {"transcript": _text(words), "confidence": 0.98 if words else 0.0, "words": words}
        if self.query.get("language") == "multi":
            alternative["languages"] = ["en"]
        metadata: dict[str, Any] = {"request_id": self.id, "model_info": MODEL, "model_uuid": MODEL_ID}
        return {
            "type": "Results",
            "channel_index": [0, 1],
            "duration": round(event.now - event.start, 3),
            "start": round(event.start, 3),
            "is_final": event.kind != "interim",
            "speech_final": event.endpoint,
            "from_finalize": from_finalize,
            "channel": {"alternatives": [alternative]},
            "metadata": metadata,
        }


async def live(request: web.Request) -> web.StreamResponse:
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return refuse("deepgram", 400, message="Bad Request: expected a websocket upgrade")
    return _check(request, True) or await Live(request).run()


async def prerecorded(request: web.Request) -> web.StreamResponse:
    """Transcribe the body (bytes, or ``{"url"}`` that is fetched); with ``callback`` answer later."""
    refused = _check(request, False)
    if refused:
        return refused
    body = await request.read()
    if request.content_type == "application/json":
        try:
            url = json.loads(body)["url"]
        except (ValueError, KeyError, TypeError):
            return refuse("deepgram", 400, code="INVALID_JSON", message="Invalid JSON submitted.")
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            if answer.status != 200:
                return refuse("deepgram", 400, code="REMOTE_CONTENT_ERROR", message="could not retrieve media")
            body = await answer.read()
        request["entry"]["fetched_bytes"] = len(body)
    result = await asyncio.to_thread(_transcribe, request, body)
    if result is None:
        message = "failed to process audio: corrupt or unsupported data"
        return refuse("deepgram", 400, message=f"Bad Request: {message}")
    callback = request.query.get("callback")
    if callback is None:
        return web.json_response(result, headers={"dg-request-id": result["metadata"]["request_id"]})
    state_of(request).spawn(_call_back(request, callback, result))
    return web.json_response({"request_id": result["metadata"]["request_id"]})


def _transcribe(request: web.Request, body: bytes) -> dict[str, Any] | None:
    import av

    query, library = request.query, state_of(request).library
    try:
        if query.get("encoding") in RAW:
            rate = int(query.get("sample_rate", 16000))
            pcm = Decoder(query["encoding"], rate, int(query.get("channels", 1))).feed(body)
        else:
            samples, rate = decode(io.BytesIO(body))
            pcm = samples.tobytes()
    except (av.error.FFmpegError, IndexError, ValueError):
        return None
    heard = [] if fault(request, "empty") else recognise(library, pcm, rate)
    speakers = Speakers()
    label = _diarize(query) and not fault(request, "null_speakers")
    words = [_word(w, speakers.number(w.speaker) if label else None, query) for w in heard]
    for word in words:
        if "speaker" in word:
            word["speaker_confidence"] = 0.9
    alternative = {"transcript": _text(words), "confidence": 0.98 if words else 0.0, "words": words}
    channel: dict[str, Any] = {"alternatives": [alternative]}
    if query.get("detect_language") == "true":
        channel |= {"detected_language": "en", "language_confidence": 0.99}
    results: dict[str, Any] = {"channels": [channel]}
    if query.get("utterances") == "true":
        results["utterances"] = _utterances(words, float(query.get("utt_split", 0.8)))
    metadata = {
        "transaction_key": "deprecated",
        "request_id": new_id(),
        "sha256": hashlib.sha256(body).hexdigest(),
        "created": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "duration": round(len(pcm) / 2 / rate, 4),
        "channels": 1,
        "models": [MODEL_ID],
        "model_info": {MODEL_ID: MODEL},
    }
    return {"metadata": metadata, "results": results}


def _utterances(words: list[dict[str, Any]], split: float) -> list[dict[str, Any]]:
    groups: list[list[dict[str, Any]]] = []
    for word in words:
        last = groups[-1][-1] if groups else None
        if last is None or word["start"] - last["end"] >= split or word.get("speaker") != last.get("speaker"):
            groups.append([])
        groups[-1].append(word)
    return [
        {"id": new_id(), "start": g[0]["start"], "end": g[-1]["end"], "confidence": 0.98, "channel": 0}
        | {"transcript": _text(g), "words": g}
        | ({"speaker": g[0]["speaker"]} if "speaker" in g[0] else {})
        for g in groups
    ]


async def _call_back(request: web.Request, url: str, result: dict[str, Any]) -> None:
    """Deliver the result: 10 attempts, 30 s (scaled) apart, until a 2xx."""
    state, ask = state_of(request), fault(request, "webhook") or {}
    deliveries = request["entry"]["deliveries"] = []
    if ask.get("mode") == "never":
        return
    await asyncio.sleep(ask.get("seconds", 0.0))
    method = request.query.get("callback_method", "post").upper()
    for copy in range(2 if ask.get("mode") == "twice" else 1):
        for _ in range(10):
            try:
                async with aiohttp.ClientSession() as session:
                    headers = {"dg-token": "sim-key-identifier"}
                    async with session.request(method, url, json=result, headers=headers) as answer:
                        deliveries.append({"status": answer.status, "copy": copy})
                        if answer.status < 300:
                            break
            except aiohttp.ClientError as problem:
                deliveries.append({"error": repr(problem), "copy": copy})
            await asyncio.sleep(30 * state.scale)


async def grant(request: web.Request) -> web.StreamResponse:
    """Temporary token; it is accepted from now on."""
    if not state_of(request).authorised("deepgram", bearer(request, "token", "bearer")):
        return refuse("deepgram", 401, message="Invalid credentials.")
    token = f"jwt-{new_id()}"
    state_of(request).keys["deepgram"].add(token)
    return web.json_response({"access_token": token, "expires_in": 30})


def routes() -> list[web.RouteDef]:
    return [
        web.get("/deepgram/v1/listen", live, name="deepgram.live", allow_head=False),
        web.post("/deepgram/v1/listen", prerecorded, name="deepgram.file"),
        web.post("/deepgram/v1/auth/grant", grant, name="deepgram.grant"),
    ]
