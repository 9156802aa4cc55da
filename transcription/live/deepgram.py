"""Deepgram live, ``/v1/listen`` (vendors.md 1.2)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

from django.conf import settings

from omi.errors import ErrorKind, MissingDependency, Outcome, ProviderError
from transcription.languages import DEEPGRAM, DEEPGRAM_REGIONS
from transcription.live.base import LiveCapabilities, LiveRequest, LiveResult, require
from transcription.live.socket import VendorSocket, numbers, refused_handshake, transient
from transcription.segments import Word

NAME = "deepgram"
MAX_KEYTERMS = 50
"""Of 500 tokens that the vendor allows in all; a name has a few."""


class DeepgramLive:
    name = NAME
    model_name = "deepgram_streaming"
    capabilities = LiveCapabilities(
        languages=DEEPGRAM,
        diarization=True,
        vocabulary=True,
        regions=DEEPGRAM_REGIONS,
        max_terms=MAX_KEYTERMS,
        max_term_bytes=500,  # the vendor allows 500 tokens in all, and no token is shorter than a byte
    )

    async def open(self, request: LiveRequest) -> DeepgramStream:
        require(self.name, self.capabilities, request)
        if not settings.DEEPGRAM_API_KEY:
            raise MissingDependency(NAME, "DEEPGRAM_API_KEY", "Set it to a key of your Deepgram project.")
        base = settings.DEEPGRAM_URL.replace("http", "ws", 1).rstrip("/")
        socket = await VendorSocket.open(
            NAME,
            f"{base}/v1/listen?{urlencode(self._query(request))}",
            {"Authorization": f"Token {settings.DEEPGRAM_API_KEY}"},
            refused=refused,
            closed=closed,
        )
        return DeepgramStream(socket)

    @staticmethod
    def _query(request: LiveRequest) -> list[tuple[str, str]]:
        query = [
            ("model", settings.DEEPGRAM_MODEL),
            ("language", request.language),
            ("encoding", "linear16"),
            ("sample_rate", str(request.sample_rate)),
            ("channels", "1"),
            ("punctuate", "true"),
            ("smart_format", "true"),
            ("interim_results", "true"),  # also tells a working vendor from a hanging one
            ("endpointing", "300"),
            ("mip_opt_out", "true"),  # the audio is not to train models
        ]
        if request.diarize:
            query.append(("diarize_model", "latest"))
        return query + [("keyterm", term) for term in request.vocabulary[:MAX_KEYTERMS]]


class DeepgramStream:
    def __init__(self, socket: VendorSocket) -> None:
        self._socket = socket

    async def send(self, audio: bytes) -> None:
        if audio:  # an empty frame would end the stream
            await self._socket.send(audio)

    def send_now(self, audio: bytes) -> bool:
        return bool(audio) and self._socket.send_now(audio)

    async def keep_alive(self) -> None:
        await self._socket.send('{"type": "KeepAlive"}')

    async def flush(self) -> None:
        await self._socket.send('{"type": "Finalize"}')

    async def finish(self) -> None:
        self._socket.expect_end()
        await self._socket.send('{"type": "CloseStream"}')

    async def close(self) -> None:
        await self._socket.close()

    async def results(self) -> AsyncIterator[LiveResult]:
        async for message in self._socket.messages():
            kind = message.get("type")
            if kind == "Results":
                yield result(message)
            elif kind == "Error" and message.get("variant") != "SchemaError":
                raise transient(NAME, "the vendor reported an error", str(message.get("code") or "error")[:60])


def result(message: Mapping[str, Any]) -> LiveResult:
    """A ``Results`` message in our terms. Raises ProviderError when it is not what the vendor documents."""
    try:
        alternative = message["channel"]["alternatives"][0]
        words = tuple(_word(item) for item in alternative.get("words", []))
        start, duration = numbers(message, "start", "duration")
        return LiveResult(words, bool(message["is_final"]), start + duration)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise transient(NAME, "the vendor's result cannot be read", "malformed") from error


def _word(item: Mapping[str, Any]) -> Word:
    start, end = numbers(item, "start", "end")
    speaker = item.get("speaker")
    return Word(
        text=str(item.get("punctuated_word") or item["word"]),
        start=start,
        end=max(start, end),
        speaker=None if speaker is None else str(speaker),
        confidence=item.get("confidence"),
        language=item.get("language"),
    )


def refused(status: int, body: str, headers: Mapping[str, str]) -> ProviderError:
    try:
        code = str(json.loads(body)["err_code"])
    except (ValueError, LookupError, TypeError):
        code = ""
    return refused_handshake(NAME, status, headers, code)


def closed(code: int, reason: str) -> ProviderError:
    """1008 is *the bytes are no audio*; every other close may be tried again."""
    if code == 1008:
        return ProviderError(
            NAME, "the audio is refused", kind=ErrorKind.PERMANENT, code="1008", outcome=Outcome.INVALID_INPUT
        )
    return transient(NAME, "the vendor closed the connection", str(code))
