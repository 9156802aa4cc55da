"""Deepgram pre-recorded: the recording in one POST, words in the answer.

Plain HTTP: the SDK repeats a failed POST by itself, and each repeated upload is billed. No callback: Deepgram keeps
no result, so that a lost callback would be a lost transcript.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings

from omi.core.errors import ErrorKind, ProviderError
from omi.core.vendor_errors import from_status, unreadable
from omi.core.vendor_fields import Losses, code, fields, first, items, text
from transcription.languages import DEEPGRAM
from transcription.vendors.batch.base import (
    Pending,
    PrerecordedRequest,
    Ticket,
    Transcript,
    online,
    require,
    transcript_of,
)
from transcription.vendors.batch.cleaning import RawWord, clean_words, commonest, raw_word
from transcription.vendors.batch.http import Answer, exchange, open_recording, require_key

COST_PER_MINUTE = 0.0043
"""US dollars, nova-3 pre-recorded, pay as you go, docs/reference/limits-and-prices.md: overrule with OPTIONS."""


class DeepgramPrerecorded:
    """The adapter of Deepgram's transcription of recordings; the answer comes with the request."""

    name = "deepgram"
    model_name = "deepgram_prerecorded"

    def __init__(self, cost_per_minute: float = COST_PER_MINUTE) -> None:
        self.capabilities = online(DEEPGRAM, cost_per_minute)

    def submit(self, request: PrerecordedRequest) -> Transcript:
        require(self.name, self.capabilities, request)
        key = require_key(self.name, settings.DEEPGRAM_API_KEY, "DEEPGRAM_API_KEY")
        with open_recording(self.name, request.path) as recording:
            answer = exchange(
                self.name,
                "POST",
                f"{settings.DEEPGRAM_URL.rstrip('/')}/v1/listen",
                timeout=request.timeout,
                headers={"Authorization": f"Token {key}", "Content-Type": "audio/wav"},
                params=_query(request),
                content=recording,
            )
        if answer.status >= 400:
            raise error_from(self.name, answer)
        return self._transcript(request, answer.body)

    def poll(self, ticket: Ticket) -> Pending | Transcript:
        raise ProviderError(
            self.name, "answers at once and queues nothing", kind=ErrorKind.PERMANENT, code="unknown_job"
        )

    def cancel(self, ticket: Ticket) -> None:
        """The one request is over when it has answered."""

    def forget(self, ticket: Ticket) -> None:
        """Deepgram keeps no result, and ``mip_opt_out`` keeps the audio out of its training."""

    def _transcript(self, request: PrerecordedRequest, body: object) -> Transcript:
        channels = fields(fields(body).get("results")).get("channels")
        channel = first(channels)
        listed = first(channel.get("alternatives")).get("words")
        # No channel, or no alternative in it, is a legal way to say that nobody speaks; nonsense in their place is not.
        if not isinstance(channels, list) or (channels and not channel):
            raise unreadable(self.name, "the answer has no list of words")
        if channel.get("alternatives") not in (None, []) and not isinstance(listed, list):
            raise unreadable(self.name, "the answer has no list of words")
        losses = Losses(self.name)
        raw = [word for item in items(listed, losses) if (word := _word(item, losses)) is not None]
        words = clean_words(raw, seconds=request.seconds)
        # It detects only where it was not told a language; with ``multi`` each word has its own.
        language = code(channel.get("detected_language")) or commonest(word.language for word in words)
        return transcript_of(self, words, language=language, seconds=request.seconds, losses=losses)


def _word(item: dict[str, Any], losses: Losses) -> RawWord | None:
    said = text(item.get("punctuated_word")) or text(item.get("word"))
    return raw_word(
        said, item.get("start"), item.get("end"), losses, speaker=item.get("speaker"),
        confidence=item.get("confidence"), language=item.get("language"),
    )  # fmt: skip


def _query(request: PrerecordedRequest) -> list[tuple[str, str]]:
    query = [("model", settings.DEEPGRAM_MODEL), ("smart_format", "true"), ("punctuate", "true")]
    query += [("mip_opt_out", "true")]
    query += [("diarize_model", "latest")] if request.diarize else []
    query += [("detect_language", "true")] if request.language is None else [("language", request.language)]
    return query + [("keyterm", term) for term in request.vocabulary[:100]]


def error_from(vendor: str, answer: Answer) -> ProviderError:
    """Return Deepgram's refusal as an error: two error shapes; 402 is the account, the rest as the common table."""
    said = answer.fields
    named = str(said.get("err_code") or said.get("category") or "")
    return from_status(vendor, answer.status, headers=answer.headers, code=named)
