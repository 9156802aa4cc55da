"""Deepgram pre-recorded: the recording in one POST, words in the answer (vendors.md 1.3).

Plain HTTP: the SDK repeats a failed POST by itself, and each repeated upload is billed. No callback: Deepgram keeps
no result, so that a lost callback would be a lost transcript.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from pydantic import BaseModel, ValidationError

from omi.errors import ErrorKind, ProviderError
from omi.vendor_errors import broken_answer, from_status
from transcription.languages import DEEPGRAM
from transcription.prerecorded.base import (
    Pending,
    PrerecordedRequest,
    Ticket,
    Transcript,
    online,
    require,
    transcript_of,
)
from transcription.prerecorded.cleaning import RawWord, clean_words, commonest
from transcription.prerecorded.http import Answer, exchange, open_recording, require_key

COST_PER_MINUTE = 0.0043
"""US dollars, nova-3 pre-recorded, pay as you go, as of 2025 and from memory: overrule with OPTIONS."""


class _Word(BaseModel):
    word: str
    punctuated_word: str | None = None
    start: float | None = None
    end: float | None = None
    confidence: float | None = None
    speaker: int | None = None
    language: str | None = None


class _Alternative(BaseModel):
    words: list[_Word]


class _Channel(BaseModel):
    detected_language: str | None = None
    alternatives: list[_Alternative]


class _Results(BaseModel):
    channels: list[_Channel]


class _Metadata(BaseModel):
    duration: float | None = None


class _Response(BaseModel):
    results: _Results
    metadata: _Metadata = _Metadata()


class DeepgramPrerecorded:
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
        try:
            response = _Response.model_validate(body)
        except ValidationError as error:
            raise broken_answer(self.name, "the answer has no list of words") from error
        channel = response.results.channels[0] if response.results.channels else None
        heard = channel.alternatives[0].words if channel and channel.alternatives else []
        raw = [
            RawWord(
                item.punctuated_word or item.word, item.start, item.end, item.speaker, item.confidence, item.language
            )
            for item in heard
        ]
        words = clean_words(raw, seconds=request.seconds)
        # It detects only where it was not told a language; with ``multi`` each word has its own.
        language = (channel.detected_language if channel else None) or commonest(word.language for word in words)
        return transcript_of(self, words, language=language, seconds=request.seconds)


def _query(request: PrerecordedRequest) -> list[tuple[str, str]]:
    query = [("model", settings.DEEPGRAM_MODEL), ("smart_format", "true"), ("punctuate", "true")]
    query += [("mip_opt_out", "true")]
    query += [("diarize_model", "latest")] if request.diarize else []
    query += [("detect_language", "true")] if request.language is None else [("language", request.language)]
    return query + [("keyterm", term) for term in request.vocabulary[:100]]


def error_from(vendor: str, answer: Answer) -> ProviderError:
    """vendors.md 1.3: two error shapes; 402 is the account, the rest as the common table."""
    fields: dict[str, Any] = answer.fields
    code = str(fields.get("err_code") or fields.get("category") or "")
    return from_status(vendor, answer.status, headers=answer.headers, code=code)
