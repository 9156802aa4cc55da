"""Jobs that a vendor still holds for us: cancel them, and ask for them to be forgotten. Best effort, always logged."""

from __future__ import annotations

from typing import Any

import structlog

from memories.pipeline.context import Context
from memories.pipeline.models import PostProcessingRun, RunStep
from omi import providers
from omi.errors import ProviderError
from transcription.prerecorded.base import Ticket

log = structlog.get_logger(__name__)


def cancel(ctx: Context) -> None:
    cancel_run(ctx.run)


def cancel_run(run: PostProcessingRun) -> None:
    for ticket in _tickets(run):
        _ask(ticket, "cancel", run)


def forget_run(run: PostProcessingRun) -> None:
    for ticket in _tickets(run):
        _ask(ticket, "forget", run)


def _tickets(run: PostProcessingRun) -> list[Ticket]:
    found: list[Ticket] = []
    for step in RunStep.objects.filter(run=run, name="transcribe"):
        raw: list[Any] = [step.checkpoint.get("ticket"), step.output.get("ticket")]
        found += [Ticket.model_validate(item) for item in raw if item]
    return found


def _ask(ticket: Ticket, what: str, run: PostProcessingRun) -> None:
    provider = next((item for item in providers.many("prerecorded") if item.name == ticket.vendor), None)
    if provider is None:
        log.warning("vendor_job_left", vendor=ticket.vendor, what=what, run_id=run.pk, reason="not configured")
        return
    try:
        getattr(provider, what)(ticket)
    except ProviderError as error:
        log.warning("vendor_job_left", vendor=ticket.vendor, what=what, run_id=run.pk, code=error.code)
