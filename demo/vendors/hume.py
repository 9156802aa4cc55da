"""Hume Expression Measurement (the API of October 2026): one synchronous file request, measured on the real samples."""

from __future__ import annotations

import io
import json
import wave
from typing import Any

import numpy as np
import numpy.typing as npt
from aiohttp import web

from demo.vendors.http import bearer, error_maker, fault, new_id, refuse, state_of
from demo.vendors.state import Fault

RATE = 16000
MAX_BODY = 25 * 1024 * 1024
CODES = {
    400: "invalid_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "audio_too_long",
    415: "unsupported_media_type",
    500: "internal_error",
    503: "server_busy",
}
FRAME_S = 0.03
SPEECH_RMS = 150.0
SPLIT_MS = 800


@error_maker("hume")
def error(status: int, fault: Fault) -> web.Response:
    """401 and the gateway's 429 carry only ``message``."""
    message = fault.get("message", f"simulated error {status}")
    if status in (401, 429):
        return web.json_response({"message": message}, status=status)
    body = {"type": "error", "code": fault.get("code", CODES.get(status, "invalid_request")), "message": message}
    return web.json_response({**body, "request_id": new_id()}, status=status)


def speech_spans(samples: npt.NDArray[np.int16]) -> list[tuple[int, int]]:
    """Utterances as (start, end) in ms: louder than a floor, split at pauses."""
    n = int(FRAME_S * RATE)
    frames = samples[: len(samples) // n * n].astype(np.float64).reshape(-1, n)
    loud = np.sqrt((frames * frames).mean(axis=1)) > SPEECH_RMS
    spans: list[tuple[int, int]] = []
    for index in np.flatnonzero(loud).tolist():
        start, end = round(index * FRAME_S * 1000), round((index + 1) * FRAME_S * 1000)
        if spans and start - spans[-1][1] < SPLIT_MS:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def expressions(samples: npt.NDArray[np.int16]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Expressions and voice attributes from loudness, its variation and brightness; only what is present."""
    x = samples.astype(np.float64)
    loudness = float(np.sqrt((x * x).mean())) / 6000 if len(x) else 0.0
    crossing = float(np.mean(np.diff(np.signbit(x)))) if len(x) > 1 else 0.0
    n = int(FRAME_S * RATE)
    frames = x[: len(x) // n * n].reshape(-1, n)
    levels = np.sqrt((frames * frames).mean(axis=1)) if len(frames) else np.zeros(1)
    swing = float(levels.std() / (levels.mean() + 1.0))
    scores = {
        "excitement": min(0.98, 0.6 * loudness + 0.3 * swing),
        "calmness": max(0.0, 0.9 - loudness - 0.3 * swing),
        "anger": min(0.9, max(0.0, loudness - 0.9)),
        "interest": min(0.9, 0.2 + swing / 2),
        "sadness": max(0.0, 0.6 - 2 * loudness - crossing),
        "neutral": max(0.05, 0.7 - swing),
    }
    present = sorted(((v, k) for k, v in scores.items() if v >= 0.1), reverse=True)
    voice = sorted([(min(0.95, 4 * crossing), "bright"), (min(0.95, loudness), "loud")], reverse=True)
    return (
        [{"name": k, "probability": round(v, 4)} for v, k in present],
        [{"name": k, "probability": round(v, 4)} for v, k in voice if v >= 0.725],
    )


def measure(samples: npt.NDArray[np.int16], timer_ms: int) -> dict[str, Any]:
    """Utterances and their measurements: one per interval and one at the end of speech; at most the last 10 s each."""
    utterances, measurements = [], []
    for utterance, (start, end) in enumerate(speech_spans(samples)):
        utterances.append({"utterance_id": utterance, "audio_start_ms": start, "audio_end_ms": end})
        moments = [(t, "interval") for t in range(start + timer_ms, end, timer_ms)]
        if not moments or end - moments[-1][0] >= 1000:
            moments.append((end, "speech_ended"))
        for moment, trigger in moments:
            begin = max(start, moment - 10_000)
            found, voice = expressions(samples[begin * RATE // 1000 : moment * RATE // 1000])
            one = {"measurement_id": len(measurements), "utterance_id": utterance, "audio_start_ms": begin}
            one |= {"audio_end_ms": moment, "trigger": trigger, "expressions": found, "voice_attributes": voice}
            measurements.append(one)
    return {"utterances": utterances, "measurements": measurements}


class Undecodable(ValueError):
    """What is wrong with the audio; ``status`` 400 (audio_decode_failed) or 415."""

    def __init__(self, said: str, status: int = 400) -> None:
        super().__init__(said)
        self.status = status


def _samples(data: bytes) -> npt.NDArray[np.int16]:
    """Samples of a strict 16 kHz mono s16 WAV; anything that is no known container counts as headerless s16le."""
    known = (b"ID3", b"\xff\xfb", b"\xff\xf3", b"fLaC", b"OggS", b"\x1aE\xdf\xa3")
    if data.startswith(known) or data[4:8] == b"ftyp" or (data[:4] == b"RIFF" and data[8:12] != b"WAVE"):
        raise Undecodable("the audio format is not supported", 415)
    if data[:4] != b"RIFF":
        if not data or len(data) % 2:
            raise Undecodable("empty file or odd number of bytes")
        return np.frombuffer(data, "<i2")
    try:
        with wave.open(io.BytesIO(data)) as reader:
            shape = (reader.getnchannels(), reader.getsampwidth(), reader.getframerate())
            if shape != (1, 2, RATE):
                raise Undecodable(f"expected mono 16-bit PCM at 16000 Hz, got channels, bytes, rate = {shape}")
            frames = reader.readframes(reader.getnframes())
    except (wave.Error, EOFError) as problem:
        raise Undecodable(f"cannot decode WAV: {problem}") from problem
    if int.from_bytes(data[20:22], "little") != 1 or len(frames) != 2 * reader.getnframes():
        raise Undecodable("truncated file or extensible WAV header")
    return np.frombuffer(frames, "<i2")


async def file(request: web.Request) -> web.StreamResponse:
    key = request.headers.get("X-Hume-Api-Key") or bearer(request)
    if not state_of(request).authorised("hume", key):
        return refuse("hume", 401, message="Unauthorized")
    if request.content_length is not None and request.content_length > MAX_BODY:
        return refuse("hume", 413, message="the request body is larger than 25 MB")
    if not request.content_type.startswith("multipart/form-data"):
        return refuse("hume", 415, message="multipart/form-data expected")
    form = await request.post()
    part, config_part = form.get("file"), form.get("config")
    if not isinstance(part, web.FileField):
        return refuse("hume", 400, code="message_invalid", message="part file is missing")
    data = part.file.read()
    entry = request["entry"]
    entry["body_bytes"], entry["content_type"] = len(data), part.content_type
    config: Any = {}
    if config_part is not None:
        text = config_part.file.read() if isinstance(config_part, web.FileField) else config_part
        try:
            config = json.loads(text)
        except ValueError:
            return refuse("hume", 400, code="config_invalid", message="config is not JSON")
    timer = config.get("measurement_timer_ms", 3000) if isinstance(config, dict) else None
    if not isinstance(timer, int) or not 3000 <= timer <= 10000 or set(config) - {"measurement_timer_ms"}:
        return refuse("hume", 400, code="config_invalid", message="measurement_timer_ms must be 3000 to 10000")
    try:
        samples = _samples(data)
    except Undecodable as problem:
        code = "audio_decode_failed" if problem.status == 400 else "unsupported_media_type"
        return refuse("hume", problem.status, code=code, message=str(problem))
    made = {"utterances": [], "measurements": []} if fault(request, "empty") else measure(samples, timer)
    received = {"audio_duration_ms": round(1000 * len(samples) / RATE)}
    return web.json_response({"request_id": new_id(), "run_id": new_id(), "received": received, **made})


def routes() -> list[web.RouteDef]:
    return [web.post("/hume/v1/expression/audio/file", file, name="hume.file")]
