"""Soniox asynchronous transcription: upload, create, poll, fetch, erase (vendors.md 2.2)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from django.conf import settings
from pydantic import BaseModel, Field, ValidationError

from omi.errors import ErrorKind, Outcome, ProviderError
from omi.vendor_errors import broken_answer, from_status, safe_code
from transcription.languages import SONIOX, base
from transcription.prerecorded.base import (
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
from transcription.prerecorded.cleaning import RawWord, clean_words, commonest
from transcription.prerecorded.http import Answer, exchange, open_recording, require_key

CALL_SECONDS = 20.0
COST_PER_MINUTE = 0.0017
"""US dollars (about 0.10 an hour), as of 2025 and from memory: overrule with OPTIONS cost_per_minute."""

BUSY = "processing"
UNKNOWN_JOB = "unknown_job"
_MARKERS = frozenset({"<end>", "<fin>"})
_TRANSIENT = frozenset({"service_unavailable", "request_timeout", "internal_error", "limit_exceeded"})
_NO_SPACES = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")  # Thai, Lao, Khmer, kana, Han

_ID = r"^[A-Za-z0-9_-]+$"
Model = TypeVar("Model", bound=BaseModel)


class _Made(BaseModel):
    id: str = Field(min_length=1, max_length=200, pattern=_ID)


class _Job(BaseModel):
    id: str
    status: str
    error_type: str | None = None
    file_id: str | None = Field(default=None, pattern=_ID)


class _Token(BaseModel):
    text: str
    start_ms: float | None = None
    end_ms: float | None = None
    confidence: float | None = None
    speaker: str | int | None = None
    language: str | None = None
    translation_status: str | None = None


class _Tokens(BaseModel):
    tokens: list[_Token]


class SonioxPrerecorded:
    name = "soniox"
    model_name = "soniox_async"

    def __init__(self, cost_per_minute: float = COST_PER_MINUTE) -> None:
        self.capabilities = online(SONIOX, cost_per_minute)

    def submit(self, request: PrerecordedRequest) -> Pending:
        require(self.name, self.capabilities, request)
        file_id = self._upload(request)
        try:
            answer = self._call("POST", "/transcriptions", timeout=CALL_SECONDS, json=_order(request, file_id))
            job = self._parse(_Made, answer)
        except ProviderError:
            with contextlib.suppress(ProviderError):  # the first error is the one to tell; files have a lifetime
                self._call("DELETE", f"/files/{file_id}", timeout=CALL_SECONDS, expect_json=False)
            raise
        state = {"file_id": file_id, "seconds": request.seconds, "polls": 0}
        return Pending(ticket=Ticket(vendor=self.name, id=job.id, state=state), seconds=3.0, detail="queued")

    def poll(self, ticket: Ticket) -> Pending | Transcript:
        job = self._parse(_Job, self._call("GET", f"/transcriptions/{ticket.id}", timeout=CALL_SECONDS))
        if job.id != ticket.id:
            raise broken_answer(self.name, "answered about another job", code="other_job")
        if job.status in ("queued", "processing"):
            return later(ticket, job.status)
        if job.status != "completed":
            raise JobLost.of(_failed(self.name, job))
        answer = self._call("GET", f"/transcriptions/{ticket.id}/transcript", timeout=2 * CALL_SECONDS)
        tokens = self._parse(_Tokens, answer).tokens
        seconds = float(ticket.state.get("seconds") or 0.0)
        words = clean_words(words_of(tokens), seconds=seconds)
        language = commonest(token.language for token in tokens)
        return transcript_of(self, words, language=language, seconds=seconds)

    def cancel(self, ticket: Ticket) -> None:
        """A running job cannot be stopped there (409): what can be erased is erased."""
        try:
            self.forget(ticket)
        except ProviderError as error:
            if error.code != BUSY:
                raise

    def forget(self, ticket: Ticket) -> None:
        """Raises ProviderError (transient, ``processing``) while the job runs: ask again, or its text stays there."""
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
            job = self._parse(_Job, self._call("GET", f"/transcriptions/{ticket.id}", timeout=CALL_SECONDS))
        except JobLost:
            return None
        return job.file_id

    def _upload(self, request: PrerecordedRequest) -> str:
        with open_recording(self.name, request.path) as recording:
            answer = self._call(
                "POST",
                "/files",
                timeout=request.timeout,
                files={"file": ("recording.wav", recording, "audio/wav")},
                data={"client_reference_id": request.reference[:256]} if request.reference else None,
            )
        return self._parse(_Made, answer).id

    def _call(self, method: str, path: str, **options: Any) -> Answer:
        key = require_key(self.name, settings.SONIOX_API_KEY, "SONIOX_API_KEY")
        url = f"{settings.SONIOX_API_URL.rstrip('/')}/v1{path}"
        answer = exchange(self.name, method, url, headers={"Authorization": f"Bearer {key}"}, **options)
        if answer.status >= 400:
            error = error_from(self.name, answer)
            raise JobLost.of(error) if error.code == UNKNOWN_JOB else error
        return answer

    def _parse(self, model: type[Model], answer: Answer) -> Model:
        try:
            return model.model_validate(answer.body)
        except ValidationError as error:
            raise broken_answer(self.name, "answered in an unknown form") from error


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


def words_of(tokens: Iterable[_Token]) -> Iterator[RawWord]:
    """Join sub-word tokens: a blank, another voice or a script without blanks begins a new word."""
    waiting: list[_Token] = []
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


def _word(tokens: list[_Token]) -> RawWord:
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


def _failed(vendor: str, job: _Job) -> ProviderError:
    code = safe_code(job.error_type) or "failed"
    if job.error_type in _TRANSIENT:
        return ProviderError(vendor, f"the job failed ({code})", kind=ErrorKind.TRANSIENT, code=code)
    return ProviderError(
        vendor, f"the job failed ({code})", kind=ErrorKind.PERMANENT, code=code, outcome=Outcome.INVALID_INPUT
    )


def error_from(vendor: str, answer: Answer) -> ProviderError:
    """vendors.md 2.1 and 11: the status decides, but for the account's money and for jobs that are gone or running."""
    code = safe_code(answer.fields.get("error_type"))
    kind: ErrorKind | None = None
    outcome = Outcome.CONFIG_ERROR if code == "model_not_available" else None
    if code.endswith("_exhausted"):
        kind = ErrorKind.QUOTA
    elif answer.status == 404:
        kind, code = ErrorKind.TRANSIENT, UNKNOWN_JOB
    elif answer.status == 409:
        kind, code = ErrorKind.TRANSIENT, BUSY
    return from_status(vendor, answer.status, headers=answer.headers, code=code, kind=kind, outcome=outcome)
