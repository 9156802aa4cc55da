"""Speechmatics realtime v2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings

from omi.core.errors import ErrorKind, MissingDependency, Outcome, ProviderError
from omi.core.vendor_errors import KEY_REFUSED
from omi.core.vendor_fields import Losses, fields, first, items, text
from transcription.languages import SPEECHMATICS
from transcription.vendors.live.base import PCM, LiveCapabilities, LiveRequest, LiveResult, require
from transcription.vendors.live.socket import VendorSocket, refused_handshake, transient
from transcription.vendors.live.words import VendorWord, moment, timed_words, unusable

NAME = "speechmatics"
START_SECONDS = 8.0
"""Until RecognitionStarted. The vendor's own client waits 5 s; a vocabulary may take longer."""
MAX_VOCABULARY = 200
MAX_DELAY = 2.0
"""Seconds after which the vendor makes a word final; between its 0.7 and 4."""


_TRANSIENT_TYPES = {"job_error", "unknown_error", "internal_error", "idle_timeout", "session_timeout"}
_QUOTA_TYPES = {"quota_exceeded", "timelimit_exceeded"}
_REQUEST_TYPES = {"invalid_message", "invalid_language", "invalid_config", "invalid_audio_type", "protocol_error"}
"""What is wrong with one request, and says nothing about the vendor."""
_TYPES_OF_CODES = {
    1003: "protocol_error",
    1011: "internal_error",
    4001: "not_authorised",
    4003: "not_allowed",
    4004: "invalid_model",
    4005: "quota_exceeded",
    4006: "timelimit_exceeded",
    4013: "job_error",
}
COST_PER_MINUTE = 0.004
"""US dollars, real time, with speakers (docs/reference/limits-and-prices.md): overrule with OPTIONS cost_per_minute."""


class SpeechmaticsLive:
    """The adapter of Speechmatics' realtime transcription; it opens one socket a session."""

    name = NAME
    model_name = "speechmatics_streaming"
    capabilities = LiveCapabilities(languages=SPEECHMATICS, diarization=True, vocabulary=True, multilingual=False)

    def __init__(self, cost_per_minute: float = COST_PER_MINUTE) -> None:
        self.capabilities = replace(type(self).capabilities, cost_per_minute=cost_per_minute)

    async def open(self, request: LiveRequest) -> SpeechmaticsStream:
        require(self.name, self.capabilities, request)
        if not settings.SPEECHMATICS_API_KEY:
            raise MissingDependency(NAME, "SPEECHMATICS_API_KEY", "Set it to a key of your Speechmatics account.")
        socket = await VendorSocket.open(
            NAME,
            settings.SPEECHMATICS_URL,
            {"Authorization": f"Bearer {settings.SPEECHMATICS_API_KEY}"},
            refused=refused,
            closed=closed,
        )
        stream = SpeechmaticsStream(socket)
        try:
            await socket.send_json(self._start(request))
            await stream.started()
        except BaseException:
            await socket.close()
            raise
        return stream

    @staticmethod
    def _start(request: LiveRequest) -> dict[str, Any]:
        config: dict[str, Any] = {
            "language": _language(request.language),
            "model": settings.SPEECHMATICS_MODEL,
            "diarization": "speaker" if request.diarize else "none",
            "enable_partials": True,  # also tells a working vendor from a hanging one
            "max_delay": MAX_DELAY,
        }
        if request.vocabulary:
            config["additional_vocab"] = list(request.vocabulary[:MAX_VOCABULARY])
        audio = {"type": "raw", "encoding": PCM, "sample_rate": request.sample_rate}
        return {"message": "StartRecognition", "audio_format": audio, "transcription_config": config}


class SpeechmaticsStream:
    """One open stream to Speechmatics."""

    def __init__(self, socket: VendorSocket) -> None:
        self._socket = socket
        self._messages = socket.messages()
        self._frames = 0

    async def started(self) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                async for message in self._messages:
                    if message.get("message") == "RecognitionStarted":
                        return
                    if message.get("message") == "Error":
                        raise failure(str(message.get("type")))
        except TimeoutError:
            raise transient(NAME, "the vendor did not start the recognition", "start_timeout") from None
        raise transient(NAME, "the vendor ended the stream", "ended")

    async def send(self, audio: bytes) -> None:
        if audio:
            self._frames += 1
            await self._socket.send(audio)

    def send_now(self, audio: bytes) -> bool:
        sent = bool(audio) and self._socket.send_now(audio)
        self._frames += sent
        return sent

    async def keep_alive(self) -> None:
        """The protocol's pings, which the socket sends by itself, keep the session for an hour."""

    async def flush(self) -> None:
        await self._socket.send('{"message": "ForceEndOfUtterance"}')

    async def finish(self) -> None:
        await self._socket.send_json({"message": "EndOfStream", "last_seq_no": self._frames})

    async def close(self) -> None:
        await self._socket.close()

    async def results(self) -> AsyncIterator[LiveResult]:
        async for message in self._messages:
            kind = message.get("message")
            if kind in ("AddTranscript", "AddPartialTranscript"):
                yield result(message)
            elif kind == "Error":
                raise failure(str(message.get("type")))
            elif kind == "EndOfTranscript":
                return


def result(message: Mapping[str, Any]) -> LiveResult:
    """A transcript message in our terms, word by word. Raises ProviderError (transient) where nothing of a final one
    can be kept: the audio is heard again on another connection, and nothing is lost."""
    losses = Losses(NAME)
    final = message.get("message") == "AddTranscript"
    listed, metadata = message.get("results"), fields(message.get("metadata"))
    heard: list[VendorWord] = []
    for item in items(listed, losses):
        best = first(item.get("alternatives"))
        said = text(best.get("content"))
        if item.get("type") == "punctuation" and heard:
            heard[-1] = replace(heard[-1], text=(heard[-1].text or "") + (said or ""))
        elif item.get("type") in ("word", "entity"):
            heard.append(
                VendorWord(
                    said, item.get("start_time"), item.get("end_time"), _speaker(best.get("speaker")),
                    best.get("confidence"), best.get("language"),
                )
            )  # fmt: skip
        elif not isinstance(item.get("type"), str):
            losses.part()
    until = moment(metadata.get("end_time"))
    words = timed_words(heard, moment(metadata.get("start_time")) or 0.0, until, losses)
    if final and unusable(listed, words, until, losses):
        raise transient(NAME, "the vendor's result cannot be read", "malformed")
    losses.report()
    return LiveResult(words, final, until)


def _speaker(given: object) -> object:
    """``UU``: the vendor does not know who."""
    return None if given == "UU" else given


def _language(language: str) -> str:
    """The vendor takes plain codes (regional forms are an output setting) and its own one for Mandarin."""
    plain = language.split("-")[0].lower()
    return {"zh": "cmn"}.get(plain, plain)


def failure(kind: str, retry: float | None = None) -> ProviderError:
    """Return the error for a message of the vendor, by the vendor's error type: it advises to try again after 5 to 10 s
    for some, never for the others."""
    if kind in _QUOTA_TYPES:
        return ProviderError(NAME, "the account's quota is used up", kind=ErrorKind.QUOTA, code=kind, retry_after=retry)
    if kind in _TRANSIENT_TYPES:
        return transient(NAME, "the vendor ended the stream", kind, retry or (5.0 if kind == "job_error" else None))
    outcome = Outcome.INVALID_INPUT if kind in _REQUEST_TYPES else Outcome.CONFIG_ERROR
    said = KEY_REFUSED if kind in ("not_authorised", "not_allowed") else "the vendor refuses the request"
    return ProviderError(NAME, said, kind=ErrorKind.PERMANENT, code=kind[:60], outcome=outcome)


def refused(status: int, body: str, headers: Mapping[str, str]) -> ProviderError:
    """Return the error for a refused handshake, by its status."""
    return refused_handshake(NAME, status, headers)


def closed(code: int, reason: str) -> ProviderError:
    """Return the error for a socket that Speechmatics closed, by its close code and reason."""
    kind = _TYPES_OF_CODES.get(code)
    if kind is not None:
        return failure(kind)
    if code == 1008 and reason not in ("idle_timeout", "session_timeout"):
        return failure("policy_violation")
    return transient(NAME, "the vendor closed the connection", str(code))
