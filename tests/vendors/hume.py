"""Hume Expression Measurement (the API of October 2026): one synchronous file request, measured on the real samples."""

from __future__ import annotations

import io
import json
import wave
from typing import Any

import numpy as np
import numpy.typing as npt
from aiohttp import web

from tests.vendors.http import bearer, error_maker, fault, new_id, refuse, state_of
from tests.vendors.state import Fault

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
        [{"name": k, "probability": round(v, 4)} for v, k in voice if v >= 0.1],
    )


def measure(samples: npt.NDArray[np.int16], timer_ms: int) -> dict[str, Any]:
    """Utterances and their measurements: one per interval and one at the end of speech; at most the last 10 s each."""
    utterances, measurements = [], []
    for start, end in speech_spans(samples):
        utterance = new_id()
        utterances.append({"utterance_id": utterance, "audio_start_ms": start, "audio_end_ms": end})
        moments = [(t, "interval") for t in range(start + timer_ms, end, timer_ms)] + [(end, "speech_ended")]
        for moment, trigger in moments:
            begin = max(start, moment - 10_000)
            found, voice = expressions(samples[begin * RATE // 1000 : moment * RATE // 1000])
            one = {"measurement_id": new_id(), "utterance_id": utterance, "audio_start_ms": begin}
            one |= {"audio_end_ms": moment, "trigger": trigger, "expressions": found, "voice_attributes": voice}
            measurements.append(one)
    return {"utterances": utterances, "measurements": measurements}


def _samples(data: bytes, raw: bool) -> npt.NDArray[np.int16] | str:
    """Samples of a strict 16 kHz mono s16 WAV (or headerless s16le), or what is wrong with it."""
    if data[:4] != b"RIFF":
        if not raw:
            return "the part file is not a WAV file"
        return np.frombuffer(data, "<i2") if len(data) % 2 == 0 else "odd number of bytes in s16le audio"
    try:
        with wave.open(io.BytesIO(data)) as reader:
            shape = (reader.getnchannels(), reader.getsampwidth(), reader.getframerate())
            if shape != (1, 2, RATE):
                return f"expected mono 16-bit PCM at 16000 Hz, got channels, bytes, rate = {shape}"
            return np.frombuffer(reader.readframes(reader.getnframes()), "<i2")
    except (wave.Error, EOFError) as problem:
        return f"cannot decode WAV: {problem}"


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
        text = config_part.file.read().decode() if isinstance(config_part, web.FileField) else str(config_part)
        try:
            config = json.loads(text)
        except ValueError:
            return refuse("hume", 400, code="config_invalid", message="config is not JSON")
    timer = config.get("measurement_timer_ms", 3000) if isinstance(config, dict) else None
    if not isinstance(timer, int) or not 3000 <= timer <= 10000 or set(config) - {"measurement_timer_ms"}:
        return refuse("hume", 400, code="config_invalid", message="measurement_timer_ms must be 3000 to 10000")
    samples = _samples(data, raw=part.content_type == "application/octet-stream")
    if isinstance(samples, str):
        return refuse("hume", 400, code="audio_decode_failed", message=samples)
    made = {"utterances": [], "measurements": []} if fault(request, "empty") else measure(samples, timer)
    received = {"audio_duration_ms": round(1000 * len(samples) / RATE)}
    return web.json_response({"request_id": new_id(), "run_id": new_id(), "received": received, **made})


def routes() -> list[web.RouteDef]:
    return [web.post("/hume/v1/expression/audio/file", file, name="hume.file")]
