"""Offline batches: what waits for a worker, and what was given up and can be tried again."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from memories.console import audit, roles
from memories.console.pages.base import PAGE, answer, needs, reason_of
from memories.offline import batches, ending
from memories.offline.models import SyncBatch


@needs(to_post=roles.RETRY)
def listed(request: HttpRequest) -> HttpResponse:
    """The oldest of each; the POST has one that failed tried again."""
    if request.method == "POST":
        return _try_again(request)
    waiting = SyncBatch.objects.filter(state__in=batches.UNFINISHED).order_by("created_at")
    return answer(
        request, "offline", "Offline batches", failed=list(ending.given_up()[:PAGE]), waiting=list(waiting[:PAGE]),
        page_size=PAGE, kept=ending.FAILED_KEPT.days,
    )  # fmt: skip


def _try_again(request: HttpRequest) -> HttpResponse:
    batch_id, reason = str(request.POST.get("batch", ""))[:40], reason_of(request)
    back = redirect("admin:console_offline")
    if not reason:
        messages.error(request, "Nothing was done: a reason is required.")
        return back
    try:
        with transaction.atomic():
            batch = ending.try_again(batch_id)
            audit.record(audit.actor_of(request), roles.RETRY, audit.batch(batch), reason)
    except (batches.BatchNotFound, ending.NothingLeft):
        messages.error(request, "There is nothing to try again: it is at work, is over, or its files came again.")
    else:
        messages.success(request, f"{batch.pk} waits for a worker.")
    return back
