"""Soniox asynchronous transcription: upload, create, poll, fetch, erase."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from omi.core.errors import ErrorKind, Outcome, ProviderError
from omi.core.vendor_errors import broken_answer, from_status, safe_code, unreadable
from omi.core.vendor_fields import Losses, code, fields, items, label, number, text
from transcription.languages import SONIOX, base
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
from transcription.vendors.batch.cleaning import RawWord, clean_words, commonest
from transcription.vendors.batch.http import Answer, exchange, open_recording, require_key

CALL_SECONDS = 20.0
COST_PER_MINUTE = 0.0017
"""US dollars (about 0.10 an hour), docs/reference/limits-and-prices.md: overrule with OPTIONS cost_per_minute."""

BUSY = "processing"
UNKNOWN_JOB = "unknown_job"
_MARKERS = frozenset({"<end>", "<fin>"})
_TRANSIENT = frozenset({"service_unavailable", "request_timeout", "internal_error", "limit_exceeded"})
_NO_SPACES = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")  # Thai, Lao, Khmer, kana, Han

_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a word; times in milliseconds."""

    text: str
    start_ms: float | None = None
    end_ms: float | None = None
    confidence: float | None = None
    speaker: str | int | None = None
    language: str | None = None
    translation_status: str | None = None


class SonioxPrerecorded:
    """The adapter of Soniox's asynchronous transcription."""

    name = "soniox"
    model_name = "soniox_async"

    def __init__(self, cost_per_minute: float = COST_PER_MINUTE) -> None:
        self.capabilities = online(SONIOX, cost_per_minute)

    def submit(self, request: PrerecordedRequest) -> Pending:
        require(self.name, self.capabilities, request)
        file_id = self._upload(request)
        try:
            answer = self._call("POST", "/transcriptions", timeout=CALL_SECONDS, json=_order(request, file_id))
            identity = self._made(answer)
        except ProviderError:
            with contextlib.suppress(ProviderError):  # the first error is the one to tell; files have a lifetime
                self._call("DELETE", f"/files/{file_id}", timeout=CALL_SECONDS, expect_json=False)
            raise
        state = {"file_id": file_id, "seconds": request.seconds, "polls": 0}
        return Pending(ticket=Ticket(vendor=self.name, id=identity, state=state), seconds=3.0, detail="queued")

    def poll(self, ticket: Ticket) -> Pending | Transcript:
        job = self._call("GET", f"/transcriptions/{ticket.id}", timeout=CALL_SECONDS).fields
        if job.get("id") != ticket.id:
            raise broken_answer(self.name, "answered about another job", code="other_job")
        status = text(job.get("status"))
        if status in ("queued", "processing"):
            return later(ticket, status)
        if status in ("error", "failed"):  # the documentation has both
            raise JobLost.of(_failed(self.name, text(job.get("error_type"))))
        if status != "completed":
            raise broken_answer(self.name, "answered with an unknown status")
        answer = self._call("GET", f"/transcriptions/{ticket.id}/transcript", timeout=2 * CALL_SECONDS)
        return self.transcript(ticket, answer.body)

    def transcript(self, ticket: Ticket, payload: object) -> Transcript:
        """The vendor's tokens as words. Raises ProviderError (permanent) where it holds no list of them."""
        listed = fields(payload).get("tokens")
        if not isinstance(listed, list):
            raise unreadable(self.name, "the result has no list of words")
        losses = Losses(self.name)
        tokens = [token for item in items(listed, losses) if (token := _token(item, losses)) is not None]
        seconds = number(ticket.state.get("seconds")) or 0.0
        words = clean_words(words_of(tokens), seconds=seconds)
        language = commonest(token.language for token in tokens)
        return transcript_of(self, words, language=language, seconds=seconds, losses=losses)

    def cancel(self, ticket: Ticket) -> None:
        """A running job cannot be stopped there (409): what can be erased is erased."""
        try:
            self.forget(ticket)
        except ProviderError as error:
            if error.code != BUSY:
                raise

    def forget(self, ticket: Ticket) -> None:
        """Delete the job and its file at Soniox; raises ProviderError (transient, ``processing``) while the job runs:
        ask again, or its text stays there."""
        paths = [f"/transcriptions/{ticket.id}"]
        if file_id := ticket.state.get("file_id") or self._file_of(ticket):
            paths.insert(0, f"/files/{file_id}")  # first: the job alone knows its file when nothing else does
        running: ProviderError | None = None
        for path in paths:
            try:
                self._call("DELETE", path, timeout=CALL_SECONDS, expect_json=False)
            except ProviderError as error:
                if error.code == BUSY:
                    running = error
                elif error.code != UNKNOWN_JOB:
                    raise
        if running is not None:
            raise running

    def _file_of(self, ticket: Ticket) -> str | None:
        """The recording of a job of which only the id is known."""
        try:
            job = self._call("GET", f"/transcriptions/{ticket.id}", timeout=CALL_SECONDS)
        except JobLost:
            return None
        file_id = job.fields.get("file_id")
        return file_id if isinstance(file_id, str) and _ID.fullmatch(file_id) else None

    def _upload(self, request: PrerecordedRequest) -> str:
        with open_recording(self.name, request.path) as recording:
            answer = self._call(
                "POST",
                "/files",
                timeout=request.timeout,
                files={"file": ("recording.wav", recording, "audio/wav")},
                data={"client_reference_id": request.reference[:256]} if request.reference else None,
            )
        return self._made(answer)

    def _call(self, method: str, path: str, **options: Any) -> Answer:
        key = require_key(self.name, settings.SONIOX_API_KEY, "SONIOX_API_KEY")
        url = f"{settings.SONIOX_API_URL.rstrip('/')}/v1{path}"
        answer = exchange(self.name, method, url, headers={"Authorization": f"Bearer {key}"}, **options)
        if answer.status >= 400:
            error = error_from(self.name, answer)
            raise JobLost.of(error) if error.code == UNKNOWN_JOB else error
        return answer

    def _made(self, answer: Answer) -> str:
        identity = answer.fields.get("id")
        if not isinstance(identity, str) or not _ID.fullmatch(identity):
            raise unreadable(self.name, "took the order without saying under which id")  # again would be paid again
        return identity


def _token(item: Mapping[str, Any], losses: Losses) -> Token | None:
    said = text(item.get("text"))
    if said is None:
        losses.part()
        return None
    start, end, confidence = (
        losses.field(item.get(name), number(item.get(name))) for name in ("start_ms", "end_ms", "confidence")
    )
    return Token(
        said,
        start,
        end,
        confidence,
        speaker=losses.field(item.get("speaker") or None, label(item.get("speaker"))),
        language=losses.field(item.get("language") or None, code(item.get("language"))),
        translation_status=code(item.get("translation_status")),
    )


def _order(request: PrerecordedRequest, file_id: str) -> dict[str, Any]:
    order: dict[str, Any] = {
        "model": settings.SONIOX_ASYNC_MODEL,
        "file_id": file_id,
        "enable_speaker_diarization": request.diarize,
        "enable_language_identification": True,
    }
    language = base(request.language)
    if language:
        order["language_hints"] = [language]
    if request.vocabulary:
        order["context"] = {"terms": list(request.vocabulary[:200])}
    if request.reference:
        order["client_reference_id"] = request.reference[:256]
    return order


def words_of(tokens: Iterable[Token]) -> Iterator[RawWord]:
    """Join sub-word tokens: a blank, another voice or a script without blanks begins a new word."""
    waiting: list[Token] = []
    for token in tokens:
        if token.text in _MARKERS or token.translation_status == "translation":
            continue
        apart = waiting and (
            token.text[:1].isspace()
            or waiting[-1].text[-1:].isspace()
            or token.speaker != waiting[-1].speaker
            or _NO_SPACES.match(token.text.strip())
        )
        if apart:
            yield _word(waiting)
            waiting = []
        if token.text.strip():
            waiting.append(token)
    if waiting:
        yield _word(waiting)


def _word(tokens: list[Token]) -> RawWord:
    starts = [token.start_ms for token in tokens if token.start_ms is not None]
    ends = [token.end_ms for token in tokens if token.end_ms is not None]
    confidences = [token.confidence for token in tokens if token.confidence is not None]
    return RawWord(
        text="".join(token.text for token in tokens).strip(),
        start=min(starts) / 1000 if starts else None,
        end=max(ends) / 1000 if ends else None,
        speaker=tokens[0].speaker,
        confidence=min(confidences) if confidences else None,
        language=tokens[0].language,
    )


def _failed(vendor: str, error_type: str | None) -> ProviderError:
    named = safe_code(error_type) or "failed"
    if error_type in _TRANSIENT:
        return ProviderError(vendor, f"the job failed ({named})", kind=ErrorKind.TRANSIENT, code=named)
    return ProviderError(
        vendor, f"the job failed ({named})", kind=ErrorKind.PERMANENT, code=named, outcome=Outcome.INVALID_INPUT
    )


def error_from(vendor: str, answer: Answer) -> ProviderError:
    """The status decides, but for the account's money and for jobs that are gone or running."""
    named = safe_code(answer.fields.get("error_type"))
    kind: ErrorKind | None = None
    outcome = Outcome.CONFIG_ERROR if named == "model_not_available" else None
    if named.endswith("_exhausted"):
        kind = ErrorKind.QUOTA
    elif answer.status == 404:
        kind, named = ErrorKind.TRANSIENT, UNKNOWN_JOB
    elif answer.status == 409:
        kind, named = ErrorKind.TRANSIENT, BUSY
    return from_status(vendor, answer.status, headers=answer.headers, code=named, kind=kind, outcome=outcome)
