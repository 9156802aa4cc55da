"""The recording becomes words: providers in order of preference, each asked once and waited for without a worker.

The vendor's ticket is stored before anything waits, so a crash resumes the job instead of paying for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.utils import timezone
from pydantic import TypeAdapter

from memories.pipeline import failure_catalogue, missing_audio
from memories.pipeline.engine import checkpoints, content_hash, fault_injection, retry_policy
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import Done, LeaseLost, RunCanceled, Skip, StepError, Wait
from memories.pipeline.models import VendorCall
from memories.pipeline.states import Kind, StepState
from memories.pipeline.vendor_calls import client, jobs, patience, records, signed_urls
from omi.accounts.users import vocabulary_version
from omi.core import providers, tuned
from omi.core.errors import ErrorKind, Outcome, ProviderError, StoreError
from omi.core.partial_results import PartialResults
from transcription.languages import base
from transcription.segments import Word, segments_from_words, speaker_label
from transcription.vendors.batch.base import JobLost, Pending, PrerecordedRequest, Ticket, Transcript

LIMIT = 19 * 3600.0  # a local engine at a third of real time on the longest recording; its child has its own limit

ANSWER: Final[TypeAdapter[Pending | Transcript]] = TypeAdapter(Pending | Transcript)


def inputs(ctx: Context) -> dict[str, Any]:
    """Return what the transcript depends on: the audio and its placing, language, vocabulary, the vendors in order."""
    asked = {"vocabulary": list(vocabulary)} if (vocabulary := _vocabulary(ctx)) else {}  # none: hashed as before
    return {
        **asked,
        "wav": _sent(ctx)[0], **_placed(ctx), "language": ctx.language if ctx.did("prepare_audio") else "",
        "providers": [item.model_name for item in _ordered(ctx)], "diarize": True,
    }  # fmt: skip


def _sent(ctx: Context) -> tuple[str | None, float, str]:
    """What a vendor is given: its hash, seconds and audio object. Of a capture only what live vendors missed."""
    prepared = ctx.output("prepare_audio")
    part = "pieces_" if prepared.get("pieces") else ""
    seconds = float(prepared.get(f"{part}seconds") or 0.0)
    return prepared.get(f"{part}sha256"), seconds, str(prepared.get(f"{part}audio", ""))


def _placed(ctx: Context) -> dict[str, Any]:
    pieces = ctx.output("prepare_audio").get("pieces")
    return {"pieces": pieces, "missing": missing_audio.asked(ctx)} if pieces else {}


def _vocabulary(ctx: Context) -> tuple[str, ...]:
    """The user's words, where any configured provider is given them: another list may be heard otherwise."""
    takes = ctx.did("prepare_audio") and any(item.capabilities.vocabulary for item in providers.many("prerecorded"))
    return tuple(ctx.user.vocabulary) if takes else ()


def _ordered(ctx: Context) -> list[Any]:
    """The configured providers in the order that is in force for this user; those that it does not name come last."""
    configured = providers.many("prerecorded")
    if len(configured) < 2 or not ctx.did("prepare_audio"):
        return configured
    usual = [item.name for item in configured]
    order = tuned.value("prerecorded_order", usual, uid=ctx.uid, memory_id=ctx.memory_id)
    if isinstance(order, dict):  # by language; "" is of all others
        order = order.get(base(ctx.language) or "") or order.get("") or usual
    return sorted(configured, key=lambda item: order.index(item.name) if item.name in order else len(order))


def run(ctx: Context) -> Done | Wait | Skip:
    """Ask the vendors in order of preference for the recording's words; silence is sent to none of them."""
    if not ctx.did("prepare_audio"):
        return Skip("the live transcript is there")
    prepared = ctx.output("prepare_audio")
    if prepared["silence"]:
        # No vendor is paid for silence.
        return Done(
            {"model": "", "language": ctx.language, "diarized": True, "words": 0, "text_hash": ""},
            {"segments": [], "timed": []}, outcome=Outcome.EXPECTED_SILENCE, note="nobody speaks",
        )  # fmt: skip
    able = [item for item in _ordered(ctx) if item.capabilities.hears(ctx.language)]
    if not able:
        if _heard_live(ctx):
            return Skip(f"nobody transcribes {ctx.language}")
        raise StepError("language_not_supported", f"language {ctx.language}")
    checkpoint = ctx.checkpoint
    at_work = (checkpoint.get("ticket") or {}).get("vendor") or _asked(ctx)
    refused: list[Wait] = []
    # A job that is under way is heard before another one is paid for, also when the order was changed meanwhile.
    for provider in sorted(able, key=lambda item: item.name != at_work):
        if provider.name in checkpoint.get("given_up", {}):
            continue
        began = timezone.now()
        try:
            answer = _ask(ctx, provider, checkpoint)
        except StoreError:
            raise  # the recording is out of reach: no fault of this provider, and no other one has it
        except ProviderError as error:
            seconds = retry_policy.delay(checkpoint, provider.name, error, elsewhere=ctx.failures_elsewhere())
            if error.kind is not ErrorKind.TRANSIENT or isinstance(error, JobLost):
                _drop_job(ctx, provider, checkpoint)
            if seconds is not None and error.code == retry_policy.BREAKER_OPEN:
                refused.append(Wait(seconds, checkpoint, str(error)))  # the next one is asked at once
                continue
            if seconds is not None:
                return _again(ctx, error, seconds, checkpoint)
            _give_up(ctx, checkpoint, provider, error, began)
            continue
        if isinstance(answer, Pending):
            checkpoint["ticket"] = answer.ticket.model_dump(mode="json")
            ctx.use_answers()
            return Wait(answer.seconds, checkpoint, f"{provider.name}: {answer.detail or 'at work'}")
        if not answer.words:
            _give_up(ctx, checkpoint, provider, _empty(provider.name), began)
            continue
        return _done(ctx, provider, answer, checkpoint)
    if _heard_live(ctx):
        # What was heard live becomes a memory all the same. The books say what has failed; the next run tries it again.
        return Skip(f"what live vendors failed to hear could not be transcribed: {_last_error(checkpoint).detail}")
    if refused:
        return min(refused, key=lambda wait: wait.seconds)
    raise _last_error(checkpoint)


def _asked(ctx: Context) -> str:
    """The vendor whose call is pending, or has been answered late."""
    call = records.of_step(ctx.run, ctx.step.name) if ctx.step.state == StepState.WAITING else None
    return call.vendor if call is not None else ""


def _heard_live(ctx: Context) -> bool:
    return ctx.run.kind == Kind.CAPTURE and bool(ctx.output("gather").get("segments"))


def stored(ctx: Context) -> None:
    """The words are ours now: the vendors need not keep the recording. What fails is asked again at the erasure."""
    if ctx.output("transcribe").get("ticket"):
        jobs.forget_quietly(ctx.run)


def _ask(ctx: Context, provider: Any, checkpoint: dict[str, Any]) -> Pending | Transcript:
    """Poll the job that this provider has, else give it one."""
    sha, seconds, _ = _sent(ctx)
    remote = provider.capabilities.remote
    raw = checkpoint.get("ticket")
    if raw and raw.get("vendor") == provider.name:
        ticket = Ticket.model_validate(raw)
        now = timezone.now().timestamp()
        if now - float(checkpoint.get("submitted_at", now)) > patience.job(seconds):
            raise ProviderError(provider.name, "the job was not done in time", kind=ErrorKind.PERMANENT,
                                code="job_timeout", outcome=Outcome.TIMEOUT)  # fmt: skip
        poll = client.Question(provider.name, VendorCall.POLL, ticket.id, ANSWER, remote=remote, limit=patience.POLL)
        return client.ask(ctx, poll, lambda: lambda record, parts: provider.poll(ticket), checkpoint)

    def accept(answer: Pending | Transcript) -> None:
        if isinstance(answer, Pending):
            checkpoint["ticket"] = answer.ticket.model_dump(mode="json")
            checkpoint["submitted_at"] = timezone.now().timestamp()
            ctx.use_answers()
            try:
                checkpoints.save(ctx, checkpoint)
            except (LeaseLost, RunCanceled):
                _try_cancel(ctx, provider, answer.ticket)  # nobody else knows of this job
                raise

    def unwanted(answer: Pending | Transcript) -> None:
        if isinstance(answer, Pending):
            _cancel_there(ctx, provider, answer.ticket)

    what = [sha, ctx.language, True, provider.model_name]
    vocabulary = _vocabulary(ctx) if provider.capabilities.vocabulary else ()
    what += [list(vocabulary)] if vocabulary else []
    submit = client.Question(
        provider.name, "transcribe", what, ANSWER, remote=remote, limit=patience.submission(seconds), accept=accept,
        unwanted=unwanted,
    )  # fmt: skip
    return client.ask(ctx, submit, lambda: _submit(provider, _request(ctx, provider, seconds)), checkpoint)


def _submit(provider: Any, request: PrerecordedRequest) -> client.Made[Pending | Transcript]:
    def call(record: VendorCall, parts: PartialResults) -> Pending | Transcript:
        answer: Pending | Transcript = provider.submit(request)
        record.audio_seconds = request.seconds
        record.cost = getattr(answer, "cost", 0.0) or provider.capabilities.cost_per_minute * request.seconds / 60
        if isinstance(answer, Pending):
            fault_injection.point("accepted")  # the gap that no vendor without an idempotency key lets one close
            record.reference = answer.ticket.id
        return answer

    return call


def _request(ctx: Context, provider: Any, seconds: float) -> PrerecordedRequest:
    capabilities = provider.capabilities
    audio, url = _sent(ctx)[2], None
    if capabilities.remote:
        url = signed_urls.fetch_url(audio, patience.job(seconds))
    return PrerecordedRequest(
        path=ctx.local_copy(audio) if ctx.output("prepare_audio").get("pieces") else ctx.wav(),
        seconds=seconds,
        language=ctx.language,
        # No hint about the number of voices: the live count's errors would be copied.
        diarize=True,
        vocabulary=tuple(ctx.user.vocabulary) if capabilities.vocabulary else (),
        url=url,
        webhook_url=signed_urls.webhook_url(),
        reference=f"run-{ctx.run.pk}",
        timeout=patience.submission(seconds),
    )


def _done(ctx: Context, provider: Any, transcript: Transcript, checkpoint: dict[str, Any]) -> Done:
    words = _safe_labels(transcript)
    sha, _, _ = _sent(ctx)
    if pieces := ctx.output("prepare_audio").get("pieces"):
        words = missing_audio.put_back(words, pieces, missing_audio.asked(ctx))
    scope = f"{ctx.memory_id}/{transcript.model}/{str(sha)[:16]}"
    segments = segments_from_words(words, scope=scope_of(scope, words), provider=transcript.model)
    body = [segment.model_dump(mode="json") for segment in segments]
    artifacts: dict[str, Any] = {
        "segments": body,
        "timed": [[word.text, word.start, word.end] for word in words],  # a text is judged by its words, not segments
    }
    if not transcript.diarized:
        artifacts["words"] = [word.model_dump(mode="json") for word in words]
    return Done(
        {
            "vendor": provider.name, "model": transcript.model, "heard": transcript.language,
            "language": transcript.language or base(ctx.language),
            "vocabulary": vocabulary_version(_vocabulary(ctx)) if provider.capabilities.vocabulary else "",
            "diarized": transcript.diarized, "words": len(words), "text_hash": content_hash.of(body),
            "ticket": checkpoint.get("ticket"), "scope": scope,
            "given_up": checkpoint.get("given_up", {}), "dropped": transcript.dropped,
        },
        artifacts,
        note=f"{provider.name}: {len(words)} words"
        + (f", {transcript.dropped} more that cannot be read" if transcript.dropped else ""),
    )  # fmt: skip


def scope_of(scope: str, words: Sequence[Word]) -> str:
    """Return ``scope`` for these very words: the same recording, heard again and cut otherwise, must not hand the ids
    of its segments to other utterances, for a person's assignments name ids."""
    return f"{scope}/{content_hash.of([[item.text, item.speaker, item.start, item.end] for item in words])[:16]}"


def _safe_labels(transcript: Transcript) -> list[Any]:
    """The app parses ``SPEAKER_<number>``: any other label a vendor gives is renamed, each to one of its own."""
    names: dict[str, str] = {}
    for word in transcript.words:
        if word.speaker is not None and word.speaker not in names:
            names[word.speaker] = word.speaker if word.speaker.startswith("SPEAKER_") else speaker_label(len(names))
    if all(label == name for label, name in names.items()):
        return list(transcript.words)  # nothing to rename: copying the 9,000 words of an hour takes as long as the rest
    return [
        word.model_copy(update={"speaker": names.get(word.speaker) if word.speaker else None})
        for word in transcript.words
    ]


def _again(ctx: Context, error: ProviderError, seconds: float, checkpoint: dict[str, Any]) -> Wait:
    ctx.log.warning("provider_retries", vendor=error.vendor, code=error.code, seconds=round(seconds, 1))
    checkpoint["last_error"] = _error_row(error)
    return Wait(seconds, checkpoint, str(error), error)


def _give_up(ctx: Context, checkpoint: dict[str, Any], provider: Any, error: ProviderError, began: datetime) -> None:
    """The next provider is asked. What went wrong with this one is an attempt of its own, for history and metrics."""
    ctx.log.error("provider_given_up", vendor=provider.name, code=error.code, reason=error.kind.value)
    checkpoint.setdefault("given_up", {})[provider.name] = _error_row(error)
    _drop_job(ctx, provider, checkpoint)
    ctx.use_answers()
    checkpoints.failed_attempt(ctx, began, error, checkpoint)


def _drop_job(ctx: Context, provider: Any, checkpoint: dict[str, Any]) -> None:
    """Nothing more is expected of this provider's job: it is stopped there, and its copies go where they can."""
    raw = checkpoint.get("ticket")
    if raw and raw.get("vendor") == provider.name:
        del checkpoint["ticket"]
        _try_cancel(ctx, provider, Ticket.model_validate(raw))


def _error_row(error: ProviderError) -> dict[str, str]:
    return {"vendor": error.vendor, "message": error.message, "kind": error.kind.value, "code": error.code,
            "outcome": error.outcome.value}  # fmt: skip


def _empty(name: str) -> ProviderError:
    return ProviderError(name, "no words came back although there is speech", kind=ErrorKind.PERMANENT, code="empty",
                         outcome=Outcome.EMPTY_UNEXPECTED)  # fmt: skip


def _last_error(checkpoint: dict[str, Any]) -> StepError:
    """Of the providers given up, the reason a person can act on best: quota, then the last one's."""
    rows = list(checkpoint["given_up"].values())
    row = next((item for item in rows if item["kind"] == ErrorKind.QUOTA), rows[-1])
    cause = ProviderError(row["vendor"], row["message"], kind=ErrorKind(row["kind"]), code=row["code"],
                          outcome=Outcome(row["outcome"]))  # fmt: skip
    # A StepError: every provider had its tries, so that this step is not tried again whatever the kind was.
    return StepError(failure_catalogue.for_provider_error(cause, "transcribe").id, str(cause), cause=cause)


def _try_cancel(ctx: Context, provider: Any, ticket: Ticket) -> None:
    client.fire_and_forget(lambda: _cancel_there(ctx, provider, ticket))


def _cancel_there(ctx: Context, provider: Any, ticket: Ticket) -> None:
    try:
        provider.cancel(ticket)
    except ProviderError as error:
        ctx.log.warning("vendor_job_left", vendor=provider.name, code=error.code)
