"""Jobs that a vendor still holds for us: cancelling them is best effort, forgetting them is done until it is done."""

from __future__ import annotations

import contextlib
from typing import Any

import structlog

from memories.pipeline.engine.context import Context
from memories.pipeline.models import PostProcessingRun, RunStep, VendorCall
from memories.pipeline.vendor_calls import client, pending_calls
from omi.core import providers
from omi.core.errors import ErrorKind, ProviderError
from transcription.vendors.batch.base import Ticket

log = structlog.get_logger(__name__)


def cancel(ctx: Context) -> None:
    """As a worker does it: it does not wait long for the vendor."""
    cancel_quickly(ctx.run)


def stop_left_behind(run: PostProcessingRun) -> None:
    """Of a run that was ended by somebody else than its worker, or by one that died just then."""
    if not run.succeeded:
        cancel_quickly(run)


def cancel_quickly(run: PostProcessingRun) -> int:
    if tickets := _at_work(run):
        client.aside(lambda: _quietly(tickets, "cancel", run))
    return len(tickets)


def _quietly(tickets: list[Ticket], what: str, run: PostProcessingRun) -> None:
    for ticket in tickets:
        with contextlib.suppress(ProviderError):  # logged; the vendor ends it by itself
            _ask(ticket, what, run)


def forget_run(run: PostProcessingRun) -> int:
    """Have the vendors erase what they keep of this run's recordings; the number of jobs that were asked for.

    Raises ProviderError where one is out of reach now: the ticket must stay until it has been asked. What a vendor
    refuses for good, or a vendor that is no longer configured, is logged and left.
    """
    forgotten, later = 0, None
    if not run.succeeded:
        _quietly(_at_work(run), "cancel", run)  # a job that is still at work ends with the run
    for ticket in _given(run):
        try:
            forgotten += _ask(ticket, "forget", run)
        except ProviderError as error:
            if error.kind is not ErrorKind.PERMANENT:
                later = error
    if later is not None:
        raise later
    return forgotten


def keep_tickets(run: PostProcessingRun) -> None:
    """Of the run's step that gives jobs nothing is left but their tickets, with which their vendors are asked to forget
    them."""
    for step in RunStep.objects.filter(run=run, name="transcribe"):
        tickets = [ticket.model_dump(mode="json") for ticket in _of_step(step)]
        step.checkpoint = {"tickets": tickets} if tickets else {}
        step.save(update_fields=["checkpoint"])


def forget_quietly(run: PostProcessingRun) -> None:
    """As ``forget_run``, by a worker, where there is a later chance: what fails is only logged."""
    if tickets := _given(run):
        client.aside(lambda: _quietly(tickets, "forget", run))


def _at_work(run: PostProcessingRun) -> list[Ticket]:
    """The jobs that the run knows of: what it waits for, and what its result is from."""
    return [ticket for step in RunStep.objects.filter(run=run, name="transcribe") for ticket in _of_step(step)]


def _of_step(step: RunStep) -> list[Ticket]:
    kept = step.checkpoint
    raw: list[Any] = [
        kept.get("ticket"),
        *kept.get("tickets", []),
        step.output.get("ticket"),
        pending_calls.ticket(step),
    ]
    return [Ticket.model_validate(item) for item in raw if item]


def _given(run: PostProcessingRun) -> list[Ticket]:
    """Every job that a vendor was ever given, also what was given up: the ledger forgets none."""
    known = {(ticket.vendor, ticket.id): ticket for ticket in _at_work(run)}
    rows = VendorCall.objects.filter(run=run, operation="transcribe").exclude(reference="").order_by("id")
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
