"""Speechmatics realtime /v2."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from aiohttp import web

from demo.vendors.http import bearer, error_maker, new_id, refuse, state_of
from demo.vendors.live import RAW, Decoder, Event, Speakers, Utterances
from demo.vendors.recognise import Heard
from demo.vendors.socket import Gone, InBand, Socket
from demo.vendors.state import Fault

CLOSE = {
    "protocol_error": 1003,
    "policy_violation": 1008,
    "invalid_message": 1003,
    "internal_error": 1011,
    "not_authorised": 4001,
    "not_allowed": 4003,
    "invalid_model": 4004,
    "quota_exceeded": 4005,
    "timelimit_exceeded": 4006,
    "job_error": 4013,
    "idle_timeout": 1008,
    "session_timeout": 1008,
}
MODELS = ("standard", "enhanced", "melia-1")
CONFIG = set(
    "language model operating_point diarization enable_partials max_delay max_delay_mode enable_entities output_locale"
    " domain additional_vocab speaker_diarization_config conversation_config punctuation_overrides"
    " audio_filtering_config transcript_filtering_config channel_diarization_labels streaming_mode ctrl"
    " language_hints language_hints_strict".split()
)
LANGUAGES = set(
    "ar ar_en ba eu be bn bg yue ca hr cs da nl en eo et fi fr gl de el he hi hu id ia ga it ja ko lv lt ms en_ms mt"
    " cmn cmn_en cmn_en_ms_ta mr mn no fa pl pt ro ru sk sl es sw sv tl ta en_ta th tr uk ur ug vi cy".split()
)
IDLE_S, NO_AUDIO_S = 180.0, 3600.0


@error_maker("speechmatics")
def error(status: int, fault: Fault) -> web.Response:
    message = fault.get("message", {401: "Unauthorized", 429: "Too Many Requests"}.get(status, "simulated"))
    return web.json_response({"code": status, "error": message, "request": new_id()}, status=status)


class Refused(Exception):
    """Ends the session with an Error message and its close code."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def identifier(label: str) -> str:
    """The opaque speaker identifier of a truth speaker; the same voice gives the same one in every session."""
    return base64.b64encode(f"voice:{label}".encode()).decode()


class Session:
    """One realtime session."""

    def __init__(self, request: web.Request) -> None:
        self.socket = Socket(request)
        self.speakers = Speakers()
        self.known: dict[str, str] = {}  # truth speaker -> label given by the client
        self.heard: dict[str, str] = {}  # truth speaker -> label
        self.seq, self.ended = 0, False
        self.config: dict[str, Any] = {}

    async def run(self) -> web.StreamResponse:
        socket = self.socket
        socket.ping_counts = True
        await socket.accept()
        try:
            await self._start(await socket.receive(timeout=IDLE_S * socket.state.scale))
            await self._listen()
        except TimeoutError:
            await self._error("idle_timeout", "Session closed: no audio or ping received")
        except Refused as problem:
            await self._error(problem.kind, str(problem))
        except InBand as ask:
            kind = ask.fault.get("type", "quota_exceeded")
            code = ask.fault.get("code", CLOSE.get(kind, 1011))
            await self._error(kind, ask.fault.get("message", f"simulated {kind}"), code)
        except Gone:
            pass
        return socket.end()

    async def _listen(self) -> None:
        """Frames until the client leaves; without audio: warnings 15, 10 and 5 minutes before the hour is over."""
        loop, scale = asyncio.get_running_loop(), self.socket.state.scale
        last, warned = loop.time(), 0
        limits = [NO_AUDIO_S - 900, NO_AUDIO_S - 600, NO_AUDIO_S - 300, NO_AUDIO_S]
        while True:
            deadline = last + limits[warned] * scale
            try:
                frame = await self.socket.receive(timeout=IDLE_S * scale, deadline=deadline)
            except TimeoutError:
                if loop.time() < deadline or warned == 3:
                    raise
                left = {"message": "Warning", "type": "idle_timeout", "reason": "no audio", "duration_limit": 3600}
                await self.socket.send(left, result=False)
                warned += 1
                continue
            if isinstance(frame, bytes):
                last, warned = loop.time(), 0
                await self._audio(frame)
            else:
                await self._message(frame)

    async def _error(self, kind: str, reason: str, code: int | None = None) -> None:
        body = {"message": "Error", "type": kind, "reason": reason}
        try:
            await self.socket.ws.send_json(body)
            self.socket.entry["sent"].append(json.dumps(body))
            await self.socket.close(code or CLOSE.get(kind, 1003), kind)
        except (ConnectionError, RuntimeError):
            self.socket.entry["closed"] = self.socket.ws.close_code

    async def _start(self, frame: bytes | str) -> None:
        try:
            start = json.loads(frame) if isinstance(frame, str) else None
        except ValueError:
            start = None
        if not isinstance(start, dict) or start.get("message") != "StartRecognition":
            raise Refused("protocol_error", "StartRecognition expected")
        config, form = start.get("transcription_config") or {}, start.get("audio_format") or {}
        unknown = set(config) - CONFIG
        if unknown:
            raise Refused("invalid_config", f"unknown field transcription_config.{sorted(unknown)[0]}")
        if not config.get("language"):
            raise Refused("invalid_message", "transcription_config.language is required")
        if config["language"] not in LANGUAGES:
            raise Refused("invalid_language", f"language {config['language']} is not supported")
        if config.get("model", "standard") not in MODELS:
            raise Refused("invalid_model", f"model {config['model']} is not available")
        if not 0.7 <= config.get("max_delay", 4) <= 4:
            raise Refused("invalid_config", "max_delay must be between 0.7 and 4")
        if form.get("type") == "raw" and form.get("encoding") in ("pcm_s16le", "pcm_f32le", "mulaw"):
            assert form["encoding"] in RAW
            rate = int(form.get("sample_rate", 16000))
            self.decoder = Decoder(form["encoding"], rate)
        elif form.get("type") == "file":
            rate, self.decoder = 16000, Decoder(None, 16000)
        else:
            raise Refused("invalid_audio_type", f"audio_format {form} is not supported")
        speaker = config.get("speaker_diarization_config") or {}
        for one in speaker.get("speakers", []):
            if one["label"] == "UU" or (one["label"][:1] == "S" and one["label"][1:].isdigit()):
                raise Refused("invalid_config", f"speaker label {one['label']} is reserved")
            for value in one["speaker_identifiers"]:
                self.known[base64.b64decode(value).decode().removeprefix("voice:")] = one["label"]
        self.config = config
        trigger = (config.get("conversation_config") or {}).get("end_of_utterance_silence_trigger", 0)
        endpoint = trigger or min(1.0, config.get("max_delay", 4))
        self.utterances = Utterances(self.socket.state.library, rate, endpoint, longest=config.get("max_delay", 4))
        pack = {"word_delimiter": " ", "writing_direction": "left-to-right", "itn": True, "adapted": False}
        pack["language_description"] = str(config["language"])
        started = {"message": "RecognitionStarted", "id": new_id(), "orchestrator_version": "2026.10.1"}
        await self.socket.send({**started, "language_pack_info": pack}, result=False)

    async def _audio(self, frame: bytes) -> None:
        if self.ended:
            late = {"message": "Warning", "type": "add_audio_after_eos", "reason": "audio after EndOfStream"}
            await self.socket.send(late, result=False)
            return
        self.seq += 1
        await self.socket.send({"message": "AudioAdded", "seq_no": self.seq}, result=False)
        try:
            pcm = self.decoder.feed(frame)
        except ValueError as problem:
            raise Refused("invalid_audio_type", str(problem)) from problem
        for event in self.utterances.feed(pcm):
            await self._send(event)
        self.socket.audio = self.utterances.now

    async def _message(self, frame: str) -> None:
        try:
            message = json.loads(frame)
            kind = message["message"]
        except (ValueError, KeyError, TypeError) as problem:
            raise Refused("invalid_message", "not a valid message") from problem
        if kind == "EndOfStream":
            if self.ended:
                warning = {"message": "Warning", "type": "add_audio_after_eos", "reason": "EndOfStream sent twice"}
                await self.socket.send(warning, result=False)
                return
            self.ended = True
            for event in self.utterances.flush():
                await self._send(event)
            await self.socket.release()
            if (self.config.get("speaker_diarization_config") or {}).get("get_speakers"):
                await self._speakers()
            await self.socket.send({"message": "EndOfTranscript"}, result=False)
        elif kind == "ForceEndOfUtterance":
            if not self.socket.has("ignore_finalize"):
                for event in self.utterances.finalize():
                    await self._send(event)
                await self._end_of_utterance(self.utterances.now, forced=True)
        elif kind == "GetSpeakers":
            await self._speakers()
        elif kind == "SetRecognitionConfig":
            self.config |= message.get("transcription_config", {})
        else:
            raise Refused("invalid_message", f"unknown message {kind}")

    async def _speakers(self) -> None:
        found = [{"label": v, "speaker_identifiers": [identifier(k)]} for k, v in self.heard.items()]
        await self.socket.send({"message": "SpeakersResult", "speakers": found}, result=False)

    async def _end_of_utterance(self, now: float, forced: bool = False) -> None:
        times = {"start_time": round(now, 3), "end_time": round(now, 3)}
        end: dict[str, Any] = {"message": "EndOfUtterance", "metadata": times}
        await self.socket.send(end | ({"forced": True} if forced else {}), result=False)

    async def _send(self, event: Event) -> None:
        if event.kind == "interim" and self.config.get("enable_partials"):
            await self.socket.send(self._transcript("AddPartialTranscript", event))
        elif event.kind in ("final", "silence"):
            if event.words or event.kind == "silence":
                await self.socket.send(self._transcript("AddTranscript", event), final=event.kind == "final")
            conversation = self.config.get("conversation_config") or {}
            if event.endpoint and conversation.get("end_of_utterance_silence_trigger", 0) > 0:
                await self._end_of_utterance(event.now)

    def _label(self, word: Heard) -> str | None:
        if self.config.get("diarization") not in ("speaker", "channel_and_speaker"):
            return None
        if word.speaker is None or self.socket.has("null_speakers"):
            return "UU"
        if word.speaker not in self.heard:
            number = self.speakers.number(word.speaker) if word.speaker not in self.known else None
            self.heard[word.speaker] = self.known.get(word.speaker) or f"S{(number or 0) + 1}"
        return self.heard[word.speaker]

    def _transcript(self, message: str, event: Event) -> dict[str, Any]:
        results: list[dict[str, Any]] = []
        text = ""
        for w in [] if self.socket.has("empty") else event.words:
            speaker = self._label(w)
            label = {"speaker": speaker} if speaker else {}
            language = {"language": self.config["language"]}
            mark = w.word[-1] if len(w.word) > 1 and w.word[-1] in ".,!?" else ""
            word = w.word.removesuffix(mark)
            times = {"start_time": round(w.start, 3), "end_time": round(w.end, 3)}
            said = {"content": word, "confidence": 0.97, **language, **label}
            results.append({"type": "word", **times, "alternatives": [said]})
            if mark:
                sign = {"content": mark, "confidence": 1.0, **language, **label}
                at = {"start_time": round(w.end, 3), "end_time": round(w.end, 3), "attaches_to": "previous"}
                results.append({"type": "punctuation", **at, "is_eos": mark != ",", "alternatives": [sign]})
            text += f"{w.word} "
        times = {"start_time": round(event.start, 3), "end_time": round(event.now, 3)}
        return {"message": message, "format": "2.9", "metadata": {**times, "transcript": text}, "results": results}


async def live(request: web.Request) -> web.StreamResponse:
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return refuse("speechmatics", 400, message="expected a websocket upgrade")
    if not state_of(request).authorised("speechmatics", bearer(request) or request.query.get("jwt")):
        return refuse("speechmatics", 401)
    return await Session(request).run()


def routes() -> list[web.RouteDef]:
    return [web.get("/speechmatics/v2", live, name="speechmatics.live", allow_head=False)]
