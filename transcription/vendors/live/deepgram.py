"""Deepgram live, ``/v1/listen``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.conf import settings

from omi.core.errors import ErrorKind, MissingDependency, Outcome, ProviderError
from omi.core.vendor_fields import Losses, fields, first, items, text
from transcription.languages import DEEPGRAM, DEEPGRAM_REGIONS
from transcription.vendors.live.base import LiveCapabilities, LiveRequest, LiveResult, require
from transcription.vendors.live.socket import VendorSocket, refused_handshake, transient
from transcription.vendors.live.words import VendorWord, moment, timed_words, unusable

NAME = "deepgram"
MAX_KEYTERMS = 50
"""Of 500 tokens that the vendor allows in all; a name has a few."""
COST_PER_MINUTE = 0.0068
"""US dollars, nova-3 with speakers (docs/reference/limits-and-prices.md): overrule with OPTIONS cost_per_minute."""


class DeepgramLive:
    """The adapter of Deepgram's live transcription; it opens one socket a session."""

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

    def __init__(self, cost_per_minute: float = COST_PER_MINUTE) -> None:
        self.capabilities = replace(type(self).capabilities, cost_per_minute=cost_per_minute)

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
    """One open stream to Deepgram."""

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
    """A ``Results`` message in our terms, word by word. Raises ProviderError (transient) where nothing of a final one
    can be kept: the audio is heard again on another connection, and nothing is lost."""
    losses = Losses(NAME)
    final = message.get("is_final") is True
    listed = first(fields(message.get("channel")).get("alternatives")).get("words")
    start, duration = moment(message.get("start")), moment(message.get("duration"))
    until = start + duration if start is not None and duration is not None else None
    words = timed_words(
        [
            VendorWord(
                text(item.get("punctuated_word")) or text(item.get("word")), item.get("start"), item.get("end"),
                item.get("speaker"), item.get("confidence"), item.get("language"),
            )
            for item in items(listed, losses)
        ],
        start or 0.0, until, losses,
    )  # fmt: skip
    if not isinstance(message.get("is_final"), bool) or (final and unusable(listed, words, until, losses)):
        raise transient(NAME, "the vendor's result cannot be read", "malformed")
    losses.report()
    return LiveResult(words, final, until)


def refused(status: int, body: str, headers: Mapping[str, str]) -> ProviderError:
    """Return the error for a refused handshake, by its status and the ``err_code`` of the body."""
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
