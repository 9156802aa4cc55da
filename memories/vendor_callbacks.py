"""A vendor says that a job is done: the run that waits for it is resumed. The result itself is fetched by the run.

A callback is only a nudge: what it says of the result is not used, so a forged one could at worst make a run look
early, and a lost one costs the time until the run looks by itself.
"""

from __future__ import annotations

import structlog
from django.db import transaction
from django.utils import timezone

from memories.pipeline.engine import queue
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.pipeline.states import State
from memories.user_events.models import VendorCallback

log = structlog.get_logger(__name__)


def accept(vendor: str, request_id: str) -> bool:
    """Resume what waits for job ``request_id`` of ``vendor`` (the adapter's name). False for a repeated callback."""
    with transaction.atomic():
        row, new = VendorCallback.objects.get_or_create(vendor=vendor, callback_id=request_id)
        if not new and row.runs:
            return False
        runs = VendorCall.objects.filter(vendor=vendor, reference=request_id).values_list("run_id", flat=True)
        resumed = 0
        for run_id in set(runs):
            waiting = PostProcessingRun.objects.filter(pk=run_id, state=State.WAITING)
            if waiting.update(due_at=timezone.now()):
                queue.wake_on_commit(run_id)
                resumed += 1
        # A callback that came before the ticket was stored resumed no run: its repetition may.
        VendorCallback.objects.filter(pk=row.pk).update(runs=resumed)
    log.info("vendor_callback", vendor=vendor, request_id=request_id, resumed=resumed, repeated=not new)
    return new
