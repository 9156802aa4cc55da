"""Soniox realtime. The key goes into the handshake: in the first message it is refused from 2027."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from omi.core.errors import ErrorKind, MissingDependency, Outcome, ProviderError
from omi.core.vendor_errors import KEY_REFUSED
from omi.core.vendor_fields import Losses, items, number, text
from transcription.languages import SONIOX
from transcription.segments import Word
from transcription.vendors.live.base import PCM, LiveCapabilities, LiveRequest, LiveResult, require
from transcription.vendors.live.socket import VendorSocket, asked_to_wait, transient
from transcription.vendors.live.words import LATEST, VendorWord, timed_words

NAME = "soniox"
MAX_TERMS = 100
_MARKERS = ("<end>", "<fin>")


_TRANSIENT = {"service_unavailable", "request_timeout", "internal_error", "max_duration_reached"}
_WAIT = {"limit_exceeded", "max_concurrent_connections_reached"}
_QUOTA = {
    "organization_balance_exhausted",
    "organization_monthly_budget_exhausted",
    "project_monthly_budget_exhausted",
}
WAIT_SECONDS = 30.0
"""For a limit of the account: the vendor names no time."""
COST_PER_MINUTE = 0.002
"""US dollars, real time, with speakers (docs/reference/limits-and-prices.md): overrule with OPTIONS cost_per_minute."""


class SonioxLive:
    """The adapter of Soniox's realtime transcription; it opens one socket a session."""

    name = NAME
    model_name = "soniox_streaming"
    capabilities = LiveCapabilities(languages=SONIOX, diarization=True, vocabulary=True, realtime_only=True)

    def __init__(self, cost_per_minute: float = COST_PER_MINUTE) -> None:
        self.capabilities = replace(type(self).capabilities, cost_per_minute=cost_per_minute)

    async def open(self, request: LiveRequest) -> SonioxStream:
        require(self.name, self.capabilities, request)
        if not settings.SONIOX_API_KEY:
            raise MissingDependency(NAME, "SONIOX_API_KEY", "Set it to a key of your Soniox project.")
        socket = await VendorSocket.open(
            NAME,
            settings.SONIOX_URL,
            {"Authorization": f"Bearer {settings.SONIOX_API_KEY}"},
            refused=refused,
            closed=closed,
        )
        try:
            await socket.send_json(self._config(request))
        except ProviderError:
            await socket.close()
            raise
        return SonioxStream(socket)

    @staticmethod
    def _config(request: LiveRequest) -> dict[str, Any]:
        config: dict[str, Any] = {
            "model": settings.SONIOX_MODEL,
            "audio_format": PCM,
            "sample_rate": request.sample_rate,
            "num_channels": 1,
            "enable_speaker_diarization": request.diarize,
            "enable_endpoint_detection": True,
        }
        if request.session_id:
            config["client_reference_id"] = request.session_id[:256]
        if request.language == "multi":
            config["enable_language_identification"] = True
        else:
            config["language_hints"] = [request.language.split("-")[0].lower()]
        if request.vocabulary:
            config["context"] = {"terms": list(request.vocabulary[:MAX_TERMS])}
        return config


class SonioxStream:
    """One open stream to Soniox, whose tokens it joins into words."""

    def __init__(self, socket: VendorSocket) -> None:
        self._socket = socket
        self._tokens = TokenJoiner()

    async def send(self, audio: bytes) -> None:
        if audio:  # an empty frame would end the stream
            await self._socket.send(audio)

    def send_now(self, audio: bytes) -> bool:
        return bool(audio) and self._socket.send_now(audio)

    async def keep_alive(self) -> None:
        await self._socket.send('{"type": "keepalive"}')

    async def flush(self) -> None:
        await self._socket.send('{"type": "finalize"}')

    async def finish(self) -> None:
        await self._socket.send("")

    async def close(self) -> None:
        await self._socket.close()

    async def results(self) -> AsyncIterator[LiveResult]:
        async for message in self._socket.messages():
            if message.get("error_code") is not None:
                raise in_band(message)
            yield self._tokens.take(message)
            if message.get("finished") is True:
                return


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a word; times in milliseconds of the stream, None where they cannot be read."""

    text: str
    start_ms: float | None
    end_ms: float | None
    speaker: object
    confidence: float | None
    language: object


class TokenJoiner:
    """Sub-word tokens to words. A word whose last token may still come is held back until the next one begins."""

    def __init__(self) -> None:
        self._open: list[Token] = []
        self._decided = 0.0
        self._said_until = 0.0

    def take(self, message: Mapping[str, Any]) -> LiveResult:
        """The words that a message completes. A token that cannot be read costs itself. Raises ProviderError
        (transient) where final tokens came and none of them can be read: the audio is heard again."""
        losses = Losses(NAME)
        words: list[Word] = []
        begins_anew: bool | None = None  # whether the first token that is not final yet begins another word
        finals = 0
        for item in items(message.get("tokens"), losses):
            said = text(item.get("text"))
            if item.get("translation_status") == "translation":
                continue
            if not isinstance(item.get("is_final"), bool):
                losses.part()
                continue
            if not item["is_final"]:  # it comes again
                begins_anew = (said or "")[:1].isspace() if begins_anew is None else begins_anew
                continue
            if said is None:
                losses.part()
                continue
            finals += 1
            if said in _MARKERS:
                words += self._close(losses)
                continue
            if said[:1].isspace():
                words += self._close(losses)
            self._open.append(_token(said, item, losses))
        if message.get("finished") is True or begins_anew:
            words += self._close(losses)
        final_ms = number(message.get("final_audio_proc_ms"))
        if final_ms is not None and not 0 <= final_ms < LATEST * 1000:
            final_ms = None
        if losses.parts and not finals:
            raise transient(NAME, "the vendor's result cannot be read", "malformed")
        losses.field(message.get("final_audio_proc_ms"), final_ms)
        losses.report()
        self._decided = max(self._decided, (final_ms or 0.0) / 1000)
        begins = min((token.start_ms for token in self._open if token.start_ms is not None), default=None)
        until = self._decided if begins is None else min(self._decided, begins / 1000)
        # An interim message without anything decided still tells that the vendor lives.
        return LiveResult(tuple(words), True, until)

    def _close(self, losses: Losses) -> list[Word]:
        tokens, self._open = self._open, []
        starts = [token.start_ms for token in tokens if token.start_ms is not None]
        ends = [token.end_ms for token in tokens if token.end_ms is not None]
        confidences = [token.confidence for token in tokens if token.confidence is not None]
        word = VendorWord(
            "".join(token.text for token in tokens).strip(),
            min(starts) / 1000 if starts else None,
            max(ends) / 1000 if ends else None,
            next((token.speaker for token in tokens if token.speaker is not None), None),
            min(confidences) if confidences else None,
            next((token.language for token in tokens if token.language is not None), None),
        )
        made = timed_words([word], self._said_until, None, losses)
        self._said_until = max([self._said_until, *(item.end for item in made)])
        return list(made)


def _token(said: str, item: Mapping[str, Any], losses: Losses) -> Token:
    start, end, confidence = (
        losses.field(item.get(name), number(item.get(name))) for name in ("start_ms", "end_ms", "confidence")
    )
    return Token(said, start, end, item.get("speaker"), confidence, item.get("language"))


def in_band(message: Mapping[str, Any]) -> ProviderError:
    """The vendor's error message; after it the stream is over. Decided by ``error_type``."""
    kind, status = str(message.get("error_type") or ""), message.get("error_code")
    code = (kind or str(status))[:60]
    if kind in _QUOTA or status == 402:
        return ProviderError(NAME, "the account has no credit left", kind=ErrorKind.QUOTA, code=code)
    if kind in _WAIT or status == 429:
        return transient(NAME, "a limit of the account is reached", code, WAIT_SECONDS)
    if kind in _TRANSIENT or not isinstance(status, int) or status in (408,) or status >= 500:
        return transient(NAME, "the vendor ended the stream", code)
    outcome = Outcome.INVALID_INPUT if status in (400, 413, 422) else Outcome.CONFIG_ERROR
    said = KEY_REFUSED if status in (401, 403) else "the vendor refuses the request"
    return ProviderError(NAME, said, kind=ErrorKind.PERMANENT, code=code, outcome=outcome)


def refused(status: int, body: str, headers: Mapping[str, str]) -> ProviderError:
    """Return the error for a refused handshake, by its status and the ``error_type`` of the body."""
    try:
        kind = str(json.loads(body)["error_type"])
    except (ValueError, LookupError, TypeError):
        kind = ""
    error = in_band({"error_code": status, "error_type": kind})
    if error.retryable:
        return transient(NAME, error.message, error.code, asked_to_wait(headers) or error.retry_after)
    return error


def closed(code: int, reason: str) -> ProviderError:
    """Return the error for a socket that Soniox closed: transient, whatever the code."""
    return transient(NAME, "the vendor closed the connection", str(code))
