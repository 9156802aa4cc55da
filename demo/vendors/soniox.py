"""Soniox realtime: one websocket, configured by its first text frame. (The REST half is soniox_async.py.)"""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from aiohttp import web

from demo.vendors.http import bearer, error_maker, new_id, refuse, state_of
from demo.vendors.live import RAW, Decoder, Event, Speakers, Utterances
from demo.vendors.recognise import Heard
from demo.vendors.socket import Gone, InBand, Socket
from demo.vendors.state import Fault

TYPES = {
    400: "invalid_request",
    401: "unauthenticated",
    402: "organization_balance_exhausted",
    403: "permission_denied",
    404: "not_found",
    408: "request_timeout",
    409: "invalid_state",
    429: "limit_exceeded",
    500: "internal_error",
    503: "service_unavailable",
}
MODELS = ("stt-rt-v5", "stt-rt-v4", "stt-rt-preview")
FIELDS = set(
    "api_key model audio_format sample_rate num_channels language_hints language_hints_strict context"
    " enable_speaker_diarization enable_language_identification enable_endpoint_detection max_endpoint_delay_ms"
    " endpoint_sensitivity endpoint_latency_adjustment_level translation client_reference_id".split()
)
RESTART = "Cannot continue request (code 4). Please restart the request."


@error_maker("soniox")
def error(status: int, fault: Fault) -> web.Response:
    """REST error body (also used where a handshake is refused)."""
    kind = fault.get("code", TYPES.get(status, "internal_error"))
    body = {"status_code": status, "error_type": kind, "message": fault.get("message", f"simulated {kind}")}
    return web.json_response({**body, "validation_errors": [], "request_id": new_id()}, status=status)


class Refused(Exception):
    """Ends the session with the in-band error message."""

    def __init__(self, status: int, message: str, kind: str | None = None) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind or TYPES.get(status, "internal_error")


def pieces(word: str) -> list[str]:
    """Sub-word tokens of a word; the leading space belongs to the first."""
    text = " " + word
    tail = text[-1] if len(text) > 2 and text[-1] in ".,!?" else ""
    text = text[: len(text) - len(tail)]
    cut = len(text) if len(text) <= 5 else (len(text) + 2) // 2
    return [p for p in (text[:cut], text[cut:], tail) if p]


def tokens(words: list[Heard], speakers: Speakers | None, language: str | None = None) -> list[dict[str, Any]]:
    """Words as tokens, without ``is_final``. ``speakers``: None leaves the labels out."""
    out = []
    for w in words:
        parts = pieces(w.word)
        step = (w.end - w.start) / len(parts)
        for k, text in enumerate(parts):
            start, end = round((w.start + k * step) * 1000), round((w.start + (k + 1) * step) * 1000)
            token: dict[str, Any] = {"text": text, "start_ms": start, "end_ms": end, "confidence": 0.97}
            number = speakers.number(w.speaker) if speakers else None
            if number is not None:
                token["speaker"] = str(number + 1)
            if language:
                token["language"] = language
            out.append(token)
    return out


class Live:
    """One realtime connection."""

    def __init__(self, request: web.Request, in_header: bool) -> None:
        self.socket, self.in_header = Socket(request, ("soniox-api-key",)), in_header
        self.final_ms = 0
        self.config: dict[str, Any] = {}
        self.speakers: Speakers | None = None

    async def run(self) -> web.StreamResponse:
        socket = self.socket
        await socket.accept()
        idle = 20.0 * socket.state.scale
        try:
            self._configure(await socket.receive(timeout=None if self.in_header else idle))
            while await self._frame(await socket.receive(timeout=idle)):
                pass
        except TimeoutError:
            await self._error(408, "request_timeout", "Request timeout.")
        except Refused as problem:
            await self._error(problem.status, problem.kind, str(problem))
        except InBand as ask:
            status = ask.fault.get("code", 503)
            kind = ask.fault.get("type", TYPES.get(status, "internal_error"))
            default = RESTART if status == 503 else f"simulated {kind}"
            await self._error(status, kind, ask.fault.get("message", default))
        except Gone:
            pass
        return socket.end()

    async def _error(self, status: int, kind: str, message: str) -> None:
        body = {"error_code": status, "error_type": kind, "error_message": message, "request_id": new_id()}
        try:
            await self.socket.ws.send_json(body)
            self.socket.entry["sent"].append(json.dumps(body))
            await self.socket.close(1000)
        except (ConnectionError, RuntimeError):
            self.socket.entry["closed"] = self.socket.ws.close_code

    def _configure(self, frame: bytes | str) -> None:
        state = self.socket.state
        try:
            config = json.loads(frame) if isinstance(frame, str) else None
        except ValueError:
            config = None
        if not isinstance(config, dict):
            raise Refused(400, "Start request must be a text message with JSON.")
        if "api_key" in config:
            last = state.options.get("soniox_key_in_config_until", date(2027, 1, 15))
            if self.in_header:
                raise Refused(400, "API key given both in the handshake and in the start request.")
            if date.today() >= last:
                raise Refused(400, "api_key in the start request is no longer accepted.")
            if not state.authorised("soniox", config["api_key"]):
                raise Refused(401, "Incorrect API key provided.")
        elif not self.in_header:
            raise Refused(401, "Missing API key.")
        unknown = set(config) - FIELDS
        if unknown:
            raise Refused(400, f"Unknown field {sorted(unknown)[0]}.")
        if config.get("model") not in MODELS:
            raise Refused(400, f"Model {config.get('model')} is not available.", "model_not_available")
        form = config.get("audio_format")
        raw = form in RAW
        if raw and not (config.get("sample_rate") and config.get("num_channels")):
            raise Refused(400, "sample_rate and num_channels are required for raw audio.")
        if not raw and form not in ("auto", "wav"):
            raise Refused(400, f"Invalid audio_format {form} (the simulator decodes raw formats and wav).")
        if not 500 <= config.get("max_endpoint_delay_ms", 2000) <= 3000:
            raise Refused(400, "max_endpoint_delay_ms out of range.")
        context = config.get("context")
        if context is not None and not isinstance(context, dict):
            raise Refused(400, "context must be an object.")
        self.config = config
        rate = int(config.get("sample_rate") or 16000)
        self.decoder = Decoder(form if raw else None, rate, int(config.get("num_channels") or 1))
        delay = min(0.7, config.get("max_endpoint_delay_ms", 2000) / 1000)
        self.utterances = Utterances(state.library, rate, delay, longest=4.0)
        if config.get("enable_speaker_diarization") and not self.socket.has("null_speakers"):
            self.speakers = Speakers()

    async def _frame(self, frame: bytes | str) -> bool:
        if not frame:
            await self._finish()
            return False
        if isinstance(frame, bytes):
            try:
                pcm = self.decoder.feed(frame)
            except ValueError as problem:
                raise Refused(400, f"Audio decode error: {problem}") from problem
            for event in self.utterances.feed(pcm):
                await self._send(event)
            self.socket.audio = self.utterances.now
            return True
        try:
            kind = json.loads(frame)["type"]
        except (ValueError, KeyError, TypeError) as problem:
            raise Refused(400, "Invalid control message.") from problem
        if kind == "finalize":
            if not self.socket.has("ignore_finalize"):
                events = list(self.utterances.finalize())
                words = [w for event in events for w in event.words]
                await self._message(words, [], self.utterances.now, marker="<fin>")
        elif kind != "keepalive":
            raise Refused(400, f"Unknown control message {kind}.")
        return True

    async def _finish(self) -> None:
        for event in self.utterances.flush():
            await self._send(event)
        await self.socket.release()
        done = round(self.utterances.now * 1000)
        times = {"final_audio_proc_ms": done, "total_audio_proc_ms": done}
        await self.socket.send({"tokens": [], **times, "finished": True}, result=False)
        await self.socket.close(1000)

    async def _send(self, event: Event) -> None:
        if event.kind == "interim":
            await self._message([], event.words, event.now)
        elif event.kind == "final":
            ended = event.endpoint and self.config.get("enable_endpoint_detection")
            await self._message(event.words, [], event.now, marker="<end>" if ended else None)
        elif event.kind == "silence":
            await self._message([], [], event.now)

    async def _message(self, final: list[Heard], interim: list[Heard], now: float, marker: str | None = None) -> None:
        if self.socket.has("empty"):
            final, interim = [], []
        hints = self.config.get("language_hints") or ["en"]
        language = hints[0] if self.config.get("enable_language_identification") else None
        done = [t | {"is_final": True} for t in tokens(final, self.speakers, language)]
        if marker:
            done.append({"text": marker, "is_final": True, "confidence": 1.0})
        open_ = [t | {"is_final": False} for t in tokens(interim, self.speakers, language)]
        if final:
            self.final_ms = round(final[-1].end * 1000)
        times = {"final_audio_proc_ms": self.final_ms, "total_audio_proc_ms": round(now * 1000)}
        await self.socket.send({"tokens": done + open_, **times}, final=bool(done))


async def live(request: web.Request) -> web.StreamResponse:
    state = state_of(request)
    protocols = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    key = bearer(request) or (protocols[1] if protocols[0] == "soniox-api-key" and len(protocols) > 1 else None)
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return refuse("soniox", 400, message="expected a websocket upgrade")
    if key is not None and not state.authorised("soniox", key):
        return refuse("soniox", 401, message="Incorrect API key provided.")
    return await Live(request, key is not None).run()


def routes() -> list[web.RouteDef]:
    return [web.get("/soniox/transcribe-websocket", live, name="soniox.live", allow_head=False)]
