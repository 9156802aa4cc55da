"""Shadow mode: another provider on the same audio, its result kept aside, within a day's money, with consent.

``tick`` is called by a schedule. It takes memories whose run has just ended and whose prepared recording is still
there, asks the variants' providers, and keeps what they say in ``ShadowResult``: no document, list or search sees it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone
from django.utils.module_loading import import_string

from memories.experiments.assigning import share_of
from memories.experiments.models import Experiment, ShadowResult
from memories.pipeline.engine import content_hash
from memories.pipeline.models import PostProcessingRun, RunStep
from memories.pipeline.states import Kind, State, StepState
from memories.pipeline.vendor_calls import records, signed_urls
from memories.repository import memories as repository
from memories.shapes import Memory
from memories.structuring import choosing
from memories.structuring.base import StructureRequest
from omi.accounts.erased import erased_since
from omi.accounts.users import get_user
from omi.core import providers, workspace
from omi.core.errors import ProviderError
from omi.stores import audio
from transcription.segments import segments_from_words
from transcription.vendors.batch.base import Pending, PrerecordedRequest, Ticket, Transcript

log = structlog.get_logger(__name__)

AT_ONCE: Final = 20
"""Memories that one turn takes, and results that it asks for."""
TAKEN_FOR: Final = timedelta(hours=20)
"""How long after its run a memory is taken: prepared recordings are kept a day."""
GIVEN_UP: Final = timedelta(hours=6)
"""How long a vendor's job is waited for."""
KEPT: Final = timedelta(days=90)
SLOWEST: Final = 600.0
"""Seconds that count as ``slow`` 1."""
SUMMARY_PRICE: Final = 0.01
"""US dollars that a summary by a language model is taken to cost, before it is made."""
DEAREST: Final = 1.0
"""US dollars that count as ``cost`` 1."""


def tick(now: datetime | None = None) -> int:
    """One turn: jobs that are out are looked at, then new memories are taken; how many results came or were begun."""
    moment = now or timezone.now()
    done = sum(_look(result, moment) for result in _waiting()) + _lost(moment)
    for experiment in Experiment.objects.filter(state=Experiment.State.RUNNING, mode=Experiment.Mode.SHADOW):
        for run in _runs(experiment, moment)[:AT_ONCE]:
            done += take(experiment, run, moment)
    return done


def take(experiment: Experiment, run: PostProcessingRun, moment: datetime) -> int:
    """Try each variant that is left on the run's memory; how many were begun. Nothing without the user's consent."""
    user = get_user(run.uid)
    if not user.improvement.shadow or user.account_deleted or not _taking_part(experiment, run):
        return 0
    begun = 0
    for variant in sorted(set(experiment.variants) - {experiment.control} - set(experiment.stopped)):
        if _spent(experiment, moment) + _price(experiment, run, variant) > experiment.daily_cost:
            log.info("shadow_money_spent", experiment=experiment.name)
            break
        begun += _begin(experiment, run, variant, moment)
    return begun


def provider_of(name: str) -> Any:
    """A pre-recorded vendor by name: the configured one, else one with its defaults, for what is tried in shadow
    need not be in use. Raises KeyError for a name that no vendor has."""
    configured = next((item for item in providers.many("prerecorded") if item.name == name), None)
    return configured if configured is not None else import_string(settings.PRERECORDED[name])()


def _first(order: Any) -> str:
    """Whom an order, or one by language, asks first: of the latter that of all other languages."""
    if isinstance(order, dict):
        order = order.get("") or next(iter(order.values()))
    return str(order[0])


def _price(experiment: Experiment, run: PostProcessingRun, variant: str) -> float:
    """US dollars that the call will cost about, at list prices."""
    value = experiment.variants[variant]
    if experiment.tunable == "structurer":
        return SUMMARY_PRICE if choosing.of_value(value)[0].remote else 0.0
    prepared = run.steps.filter(name="prepare_audio").first()
    seconds = float((prepared.output or {}).get("seconds") or 0.0) if prepared is not None else 0.0
    return float(provider_of(_first(value)).capabilities.cost_per_minute * seconds / 60)


def _begin(experiment: Experiment, run: PostProcessingRun, variant: str, moment: datetime) -> int:
    """The row is written first: a worker that dies asks nobody twice."""
    with transaction.atomic():
        memory = repository.find_memory(run.uid, run.memory_id)
        if memory is None or memory.deleted or erased_since(run.uid, run.created_at):
            return 0
        result, new = ShadowResult.objects.get_or_create(
            experiment=experiment, uid=run.uid, memory_id=run.memory_id, variant=variant, defaults={"at": moment}
        )
    if not new:
        return 0
    value = experiment.variants[variant]
    began = time.perf_counter()
    try:
        if experiment.tunable == "structurer":
            _structured(result, memory, value)
        else:
            _transcribed(result, run, memory, value)
    except ProviderError as error:
        _ended(result, {"failed": 1.0}, error=f"{error.vendor}: {error.code}", seconds=time.perf_counter() - began)
    except (FileNotFoundError, LookupError):
        ShadowResult.objects.filter(pk=result.pk).delete()  # the recording went meanwhile: nothing of the variant's
        return 0
    return 1


def _transcribed(result: ShadowResult, run: PostProcessingRun, memory: Memory, order: Any) -> None:
    provider = provider_of(_first(order))
    prepared = dict(run.steps.get(name="prepare_audio").output)
    seconds, name = float(prepared.get("seconds") or 0.0), str(prepared.get("audio", ""))
    began = time.perf_counter()
    with workspace.temporary("shadow-") as folder:
        request = PrerecordedRequest(
            path=audio.local_copy(name, Path(folder)), seconds=seconds, language=memory.language,
            vocabulary=tuple(get_user(run.uid).vocabulary) if provider.capabilities.vocabulary else (),
            url=signed_urls.fetch_url(name, 3600.0) if provider.capabilities.remote else None,
            reference=f"shadow-{result.pk}", timeout=max(120.0, 3 * seconds),
        )  # fmt: skip
        with records.outside(run.uid, provider.name, "shadow", remote=provider.capabilities.remote) as call:
            call.audio_seconds = seconds
            call.cost = provider.capabilities.cost_per_minute * seconds / 60
            answer = provider.submit(request)
    cost = provider.capabilities.cost_per_minute * seconds / 60
    if isinstance(answer, Pending):
        ShadowResult.objects.filter(pk=result.pk).update(
            ticket=answer.ticket.model_dump(mode="json"), cost=cost, audio=name
        )
        return
    _heard(result, memory, answer, cost, time.perf_counter() - began)


def _lost(moment: datetime) -> int:
    """End what was begun and never came back: its worker died while it asked, and nobody asks a second time."""
    rows = ShadowResult.objects.filter(state=ShadowResult.State.WAITING, ticket={}, at__lt=moment - GIVEN_UP)
    lost = list(rows.order_by("at")[:AT_ONCE])
    for result in lost:
        _ended(result, {"failed": 1.0}, error="lost with its worker", seconds=GIVEN_UP.total_seconds())
    return len(lost)


def _look(result: ShadowResult, moment: datetime) -> int:
    """Ask about a job that is out."""
    ticket = Ticket.model_validate(result.ticket)
    provider = provider_of(ticket.vendor)
    if moment - result.at > GIVEN_UP:
        _ended(result, {"failed": 1.0}, error="no answer in time", seconds=GIVEN_UP.total_seconds())
        return 1
    try:
        answer = provider.poll(ticket)
    except ProviderError as error:
        if error.retryable:
            return 0
        _ended(result, {"failed": 1.0}, error=f"{error.vendor}: {error.code}", seconds=0.0)
        return 1
    if isinstance(answer, Pending):
        ShadowResult.objects.filter(pk=result.pk).update(ticket=answer.ticket.model_dump(mode="json"))
        return 0
    memory = repository.find_memory(result.uid, result.memory_id)
    if memory is not None:
        _heard(result, memory, answer, result.cost, (moment - result.at).total_seconds())
    provider.forget(ticket)
    return 1


def _heard(result: ShadowResult, memory: Memory, answer: Transcript, cost: float, seconds: float) -> None:
    scope = f"{result.memory_id}/shadow/{result.variant}"
    segments = segments_from_words(answer.words, scope=scope, provider=answer.model)
    shown = list(memory.transcript_segments)
    body = {
        "variant": [[item.start, item.end, item.text] for item in segments],
        "control": [[item.start, item.end, item.text] for item in shown],
    }
    empty = not segments and bool(shown)
    _ended(result, {"failed": float(empty)}, body=body, cost=cost, seconds=seconds)


def _structured(result: ShadowResult, memory: Memory, value: dict[str, Any]) -> None:
    user = get_user(result.uid)
    structurer, prompt = choosing.of_value(value)
    request = StructureRequest(
        segments=memory.transcript_segments, started_at=memory.time_zero or memory.created_at, force=True,
        language=memory.language, answer_language=user.language or memory.language or "en", time_zone=user.time_zone,
        user_name=user.name or "User",
    )  # fmt: skip
    began = time.perf_counter()
    with records.outside(result.uid, structurer.name, "shadow", remote=structurer.remote) as call:
        made = structurer.structure(replace(request, prompt=prompt))
        call.input_tokens, call.output_tokens, call.cost = made.input_tokens, made.output_tokens, made.cost
    body = {"variant": made.structured.model_dump(mode="json"), "control": _summary(memory)}
    failed = float(not made.structured.title)
    _ended(result, {"failed": failed}, body=body, cost=made.cost, seconds=time.perf_counter() - began)


def _summary(memory: Memory) -> dict[str, Any]:
    return memory.structured.model_dump(mode="json")


def _ended(
    result: ShadowResult, values: dict[str, float], *, body: Any = None, cost: float = 0.0, seconds: float = 0.0,
    error: str = "",
) -> None:  # fmt: skip
    """An UPDATE, never an upsert: the memory may have been erased meanwhile, and nothing of it may come back."""
    values = {**values, "slow": min(1.0, seconds / SLOWEST), "cost": min(1.0, cost / DEAREST)}
    state = ShadowResult.State.DONE if body is not None else ShadowResult.State.FAILED
    ShadowResult.objects.filter(pk=result.pk).update(
        state=state, values=values, cost=cost, seconds=seconds, error=error[:120], ended_at=timezone.now(), ticket={},
        body=None if body is None else content_hash.pack(body)[1],
    )  # fmt: skip


def _waiting() -> Iterator[ShadowResult]:
    rows = ShadowResult.objects.filter(state=ShadowResult.State.WAITING).exclude(ticket={})
    yield from rows.order_by("at")[:AT_ONCE]


def _runs(experiment: Experiment, moment: datetime) -> list[PostProcessingRun]:
    """Runs that ended well since the experiment began, whose audio is still there, that were not taken yet."""
    since = max(moment - TAKEN_FOR, experiment.started_at or moment)
    taken = ShadowResult.objects.filter(experiment=experiment).values("memory_id")
    runs = PostProcessingRun.objects.filter(
        state=State.FINISHED, outcome="success", finished_at__gte=since, kind__in=(Kind.POSTPROCESS, Kind.CAPTURE)
    ).exclude(memory_id__in=taken)
    if experiment.tunable != "structurer":
        prepared = RunStep.objects.filter(name="prepare_audio", state=StepState.DONE, output__silence=False)
        runs = runs.filter(pk__in=prepared.values("run"))
    return list(runs.order_by("id")[: 10 * AT_ONCE])


def _taking_part(experiment: Experiment, run: PostProcessingRun) -> bool:
    return share_of(experiment.name, "part", run.uid, run.memory_id) < experiment.share


def _spent(experiment: Experiment, moment: datetime) -> float:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    rows = ShadowResult.objects.filter(experiment=experiment, at__gte=day)
    return float(rows.aggregate(sum=Sum("cost"))["sum"] or 0.0)


def body_of(result: ShadowResult) -> dict[str, Any]:
    """What the variant and the control made; empty where nothing is there."""
    return dict(content_hash.unpack(bytes(result.body))) if result.body else {}
