"""fal.ai: ``fal-ai/whisper`` through the queue. Plain HTTP: five endpoints, submitted once.

Not ``fal_client``: it can only speak https to hosts fixed at import, and its ``submit`` repeats the POST up to ten
times without an idempotency key. Its ``encode`` makes the data URI where fal cannot fetch the audio.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings

from omi.core.errors import ErrorKind, Outcome, ProviderError, UnsupportedFeature
from omi.core.vendor_errors import broken_answer, from_status, safe_code, unreadable
from omi.core.vendor_fields import Losses, code, fields, first, items, label, number, text
from transcription.languages import WHISPER, base
from transcription.vendors.batch.base import (
    JobLost,
    Pending,
    PrerecordedRequest,
    Ticket,
    Transcript,
    later,
    online,
    require,
    transcript_of,
)
from transcription.vendors.batch.cleaning import RawWord, Turn, clean_words, raw_word, without_islands
from transcription.vendors.batch.http import Answer, exchange, open_recording, require_key

POLL_SECONDS = 20.0  # the longest one status request may take
INLINE_BYTES = 64 * 1024 * 1024  # of WAV (35 minutes) in a data URI; more needs an address
MAX_ID = 200  # characters
FAL_HOSTS = frozenset({"queue.fal.run", "queue.falrun.com"})
COST_PER_MINUTE = 0.005
"""US dollars, a guess from compute prices: fal bills seconds of a GPU. Overrule with OPTIONS cost_per_minute."""


class FalWhisperX:
    """Stored under the original's name ``fal_whisperx``, so that existing projects find their transcripts."""

    name = "fal_whisperx"
    model_name = "fal_whisperx"

    def __init__(self, cost_per_minute: float = COST_PER_MINUTE) -> None:
        self.capabilities = online(WHISPER, cost_per_minute)

    def submit(self, request: PrerecordedRequest) -> Pending:
        """Submit a job by one POST. The ticket must be stored before anything else: a repeated submit is paid twice."""
        require(self.name, self.capabilities, request)
        callback = request.webhook_url or settings.FAL_WEBHOOK_URL
        answer = exchange(
            self.name,
            "POST",
            f"{settings.FAL_QUEUE_URL}/{settings.FAL_APP}",
            timeout=min(request.timeout, 120.0),
            headers={**self._key(), "X-Fal-Object-Lifecycle-Preference": '{"expiration_duration_seconds": 3600}'},
            params={"fal_webhook": callback} if callback else None,
            json=self._arguments(request),
        )
        if answer.status == 404:  # the app is gone, or FAL_APP is wrong: no other try will find it
            raise from_status(self.name, 404, code="app_not_found", outcome=Outcome.CONFIG_ERROR)
        self._check(answer)
        identity = text(answer.fields.get("request_id")) or ""
        if not 0 < len(identity) <= MAX_ID:  # the job may be at work, and would be paid for twice
            raise unreadable(self.name, "accepted the job without saying which")
        app = "/".join(settings.FAL_APP.split("/")[:2])
        own = f"{settings.FAL_QUEUE_URL}/{app}/requests/{quote(identity, safe='')}"
        urls: dict[str, str] = {}
        for name, default in (("status_url", f"{own}/status"), ("response_url", own), ("cancel_url", f"{own}/cancel")):
            given = text(answer.fields.get(name)) or ""
            urls[name] = given if _trusted(given) else default
        state = {**urls, "seconds": request.seconds, "polls": 0}
        return Pending(ticket=Ticket(vendor=self.name, id=identity, state=state), seconds=3.0, detail="queued")

    def poll(self, ticket: Ticket) -> Pending | Transcript:
        answer = self._get(ticket.state["status_url"], params={"logs": "0"})
        if answer.status == 404:
            raise JobLost.of(error_from(self.name, answer))
        self._check(answer)
        status = answer.fields
        self._same(ticket, text(status.get("request_id")))
        if status.get("status") != "COMPLETED":
            return self._pending(ticket, status)
        result = self._get(ticket.state["response_url"])
        self._same(ticket, result.headers.get("x-fal-request-id"))
        if _asking_failed(result, status):
            self._check(result)
        if _ended_badly(status) or result.status >= 400:
            raise JobLost.of(self._failed(result, status))
        return self.transcript(ticket, result.body)

    def transcript(self, ticket: Ticket, payload: object) -> Transcript:
        """The model's output (from the result address or a verified webhook) as ours."""
        output = fields(payload)
        if not isinstance(output.get("chunks"), list):
            raise unreadable(self.name, "the result has no list of words")
        seconds = number(ticket.state.get("seconds")) or 0.0
        losses = Losses(self.name)
        raw = [word for chunk in items(output["chunks"], losses) if (word := _word(chunk, losses)) is not None]
        raw = without_islands(raw, _turns(output.get("diarization_segments")))
        heard = output.get("inferred_languages")
        language = next((name for item in heard if (name := code(item))), None) if isinstance(heard, list) else None
        words = clean_words(raw, seconds=seconds)
        return transcript_of(self, words, language=language, seconds=seconds, losses=losses)

    def cancel(self, ticket: Ticket) -> None:
        url = ticket.state["cancel_url"]
        answer = exchange(self.name, "PUT", url, timeout=POLL_SECONDS, headers=self._key(), expect_json=False)
        if answer.status not in (400, 404):  # already completed, already gone: both are what was wanted
            self._check(answer)

    def forget(self, ticket: Ticket) -> None:
        """fal has no call for it: the submit asked for an hour's lifetime of what it keeps."""

    def _arguments(self, request: PrerecordedRequest) -> dict[str, Any]:
        # num_speakers is not sent: it is an order there, and the live count is only a guess.
        arguments: dict[str, Any] = {
            "audio_url": request.url or self._data_uri(request),
            "task": "transcribe",
            "diarize": request.diarize,
            "chunk_level": "word",
            "version": "3",
            "batch_size": 64,
        }
        language = base(request.language)
        if language:
            arguments["language"] = language
        if request.vocabulary:
            arguments["prompt"] = ", ".join(request.vocabulary)[:800]  # Whisper reads 224 tokens of prompt
        return arguments

    def _data_uri(self, request: PrerecordedRequest) -> str:
        with open_recording(self.name, request.path) as recording:
            data = recording.read(INLINE_BYTES + 1)
        if len(data) > INLINE_BYTES:
            raise UnsupportedFeature(self.name, "a recording over 64 MB without a public address (set OMI_PUBLIC_URL)")
        import fal_client

        uri: str = fal_client.encode(data, "audio/wav")
        return uri

    def _key(self) -> dict[str, str]:
        return {"Authorization": f"Key {require_key(self.name, settings.FAL_KEY, 'FAL_KEY')}"}

    def _get(self, url: str, params: dict[str, str] | None = None) -> Answer:
        return exchange(self.name, "GET", url, timeout=POLL_SECONDS, headers=self._key(), params=params)

    def _pending(self, ticket: Ticket, status: Mapping[str, Any]) -> Pending:
        """An unreadable status says nothing about the job, and asking again costs nothing."""
        if status.get("status") not in ("IN_QUEUE", "IN_PROGRESS"):
            raise broken_answer(self.name, "answered with an unknown status")
        place = number(status.get("queue_position")) or 0
        waiting = status["status"] == "IN_QUEUE"
        return later(ticket, f"queued at {place:.0f}" if waiting else "in progress")

    def _same(self, ticket: Ticket, request_id: str | None) -> None:
        if request_id is not None and request_id != ticket.id:
            raise broken_answer(self.name, "answered about another job", code="other_job")

    def _check(self, answer: Answer) -> None:
        if answer.status >= 400:
            raise error_from(self.name, answer)

    def _failed(self, result: Answer, status: Mapping[str, Any]) -> ProviderError:
        named = text(status.get("error_type"))
        if result.status >= 400:
            return error_from(self.name, result, fallback=named)
        return broken_answer(self.name, "the run ended with an error", code=safe_code(named) or "failed")


def _word(chunk: Mapping[str, Any], losses: Losses) -> RawWord | None:
    start, end = _times(chunk.get("timestamp"))
    return raw_word(text(chunk.get("text")), start, end, losses, speaker=chunk.get("speaker"))


def _times(pair: object) -> tuple[object, object]:
    """Start and end of whatever stands in place of ``[start, end]``."""
    given = [*pair[:2], None, None] if isinstance(pair, list) else [pair, None]
    return given[0], given[1]


def _turns(listed: object) -> list[Turn]:
    """The vendor's own segments; one that cannot be read bears nothing out."""
    turns = []
    for item in listed if isinstance(listed, list) else []:
        start, end = _times(fields(item).get("timestamp"))
        moment, until, speaker = number(start), number(end), label(fields(item).get("speaker"))
        if moment is not None and until is not None and speaker is not None:
            turns.append((moment, until, speaker))
    return turns


def _ended_badly(status: Mapping[str, Any]) -> bool:
    return status.get("error") is not None or bool(status.get("error_type"))


def _asking_failed(result: Answer, status: Mapping[str, Any]) -> bool:
    """Whether the result's error status is about this request, and not the job's own end: the job is still good."""
    if _ended_badly(status):
        return False
    ours = result.status in (401, 403, 408, 429)
    return ours or (result.status >= 500 and not result.headers.get("x-fal-error-type"))


def error_from(vendor: str, answer: Answer, *, fallback: str | None = None) -> ProviderError:
    """Return fal's refusal as an error: ``X-Fal-Retryable`` and infrastructure types are transient, 403 may be the
    balance."""
    headers, detail = answer.headers, answer.fields.get("detail")
    named = headers.get("x-fal-error-type") or answer.fields.get("error_type") or fallback or ""
    named = named or str(first(detail).get("type") or "")
    kind: ErrorKind | None = None
    outcome: Outcome | None = None
    if answer.status == 404:
        # A queue that has lost the job: asking again cannot help, submitting again can (the pipeline's decision).
        kind, named = ErrorKind.TRANSIENT, "unknown_job"
    elif answer.status == 403 and isinstance(detail, str) and "balance" in detail.lower():
        kind, named = ErrorKind.QUOTA, "balance"
    elif headers.get("x-fal-retryable", "").lower() == "true":
        kind = ErrorKind.TRANSIENT
    elif headers.get("x-fal-retryable", "").lower() == "false" and answer.status not in (408, 429):
        kind, outcome = ErrorKind.PERMANENT, Outcome.INVALID_INPUT
    return from_status(vendor, answer.status, headers=headers, code=named, kind=kind, outcome=outcome)


def _trusted(url: str) -> bool:
    """Only the queue itself is asked with our key: its host as configured, or fal's two own over TLS."""
    if not url:
        return False
    try:
        given, own = urlsplit(url), urlsplit(settings.FAL_QUEUE_URL)
    except ValueError:
        return False
    if (given.scheme, given.netloc) == (own.scheme, own.netloc):
        return True
    return given.scheme == "https" and given.netloc in FAL_HOSTS and own.netloc in FAL_HOSTS
