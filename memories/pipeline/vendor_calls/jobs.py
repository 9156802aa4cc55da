"""Jobs that a vendor still holds for us: canceling them is best effort, forgetting them is done until it is done."""

from __future__ import annotations

import contextlib
from typing import Any

import structlog

from memories.pipeline.models import PostProcessingRun, RunStep, VendorCall
from memories.pipeline.vendor_calls import client, records
from omi.core import providers
from omi.core.errors import ErrorKind, ProviderError
from transcription.vendors.batch.base import Ticket

log = structlog.get_logger(__name__)

STEP = "transcribe"
"""The step that gives jobs to vendors."""


def cancel(run: PostProcessingRun) -> int:
    """Stop what vendors still do for a run that ended without a result; how many jobs there were. It waits a few
    seconds at most."""
    tickets = [] if run.succeeded else _known(run)
    if tickets:
        client.fire_and_forget(lambda: _quietly(tickets, "cancel", run))
    return len(tickets)


def forget(run: PostProcessingRun) -> int:
    """Have the vendors erase what they keep of this run's recordings; the number of jobs that were asked for.

    Raises ProviderError where one is out of reach now: the ticket must stay until it has been asked. What a vendor
    refuses for good, or a vendor that is no longer configured, is logged and left.
    """
    forgotten, later = 0, None
    if not run.succeeded:
        _quietly(_known(run), "cancel", run)  # a job that is still at work ends with the run
    for ticket in _given(run):
        try:
            forgotten += _ask(ticket, "forget", run)
        except ProviderError as error:
            if error.kind is not ErrorKind.PERMANENT:
                later = error
    if later is not None:
        raise later
    return forgotten


def forget_quietly(run: PostProcessingRun) -> None:
    """Have the vendors forget a run's jobs as ``forget``, by a worker, where there is a later chance: what fails is
    only logged."""
    if tickets := _given(run):
        client.fire_and_forget(lambda: _quietly(tickets, "forget", run))


def keep_tickets(run: PostProcessingRun) -> None:
    """Leave nothing in the checkpoint of the run but the tickets with which vendors are asked to forget their jobs."""
    for step in RunStep.objects.filter(run=run, name=STEP):
        tickets = [ticket.model_dump(mode="json") for ticket in _of_step(run, step)]
        RunStep.objects.filter(pk=step.pk).update(checkpoint={"tickets": tickets} if tickets else {})


def _quietly(tickets: list[Ticket], what: str, run: PostProcessingRun) -> None:
    for ticket in tickets:
        with contextlib.suppress(ProviderError):  # logged; the vendor ends it by itself
            _ask(ticket, what, run)


def _known(run: PostProcessingRun) -> list[Ticket]:
    """The jobs that the run knows of: what it waits for, and what its result is from."""
    return [ticket for step in RunStep.objects.filter(run=run, name=STEP) for ticket in _of_step(run, step)]


def _of_step(run: PostProcessingRun, step: RunStep) -> list[Ticket]:
    kept = step.checkpoint
    late = records.late_tickets(run, step.name)
    raw: list[Any] = [kept.get("ticket"), *kept.get("tickets", []), step.output.get("ticket"), *late]
    return [Ticket.model_validate(item) for item in raw if item]


def _given(run: PostProcessingRun) -> list[Ticket]:
    """Every job that a vendor was ever given, also what was given up: the calls' rows forget none."""
    known = {(ticket.vendor, ticket.id): ticket for ticket in _known(run)}
    rows = VendorCall.objects.filter(run=run, operation=STEP).exclude(reference="").order_by("id")
    for vendor, reference in rows.values_list("vendor", "reference"):
        known.setdefault((vendor, reference), Ticket(vendor=vendor, id=reference))
    return list(known.values())


def _ask(ticket: Ticket, what: str, run: PostProcessingRun) -> bool:
    provider = next((item for item in providers.many("prerecorded") if item.name == ticket.vendor), None)
    if provider is None:
        log.warning("vendor_job_left", vendor=ticket.vendor, what=what, run_id=run.pk, reason="not configured")
        return False
    try:
        getattr(provider, what)(ticket)
    except ProviderError as error:
        log.warning("vendor_job_left", vendor=ticket.vendor, what=what, run_id=run.pk, code=error.code)
        raise
    return True
