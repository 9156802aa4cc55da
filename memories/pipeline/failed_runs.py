"""The signal that a run ended badly, for whoever counts failures above the pipeline (the console)."""

from __future__ import annotations

from typing import Final

import structlog
from django.db import transaction
from django.dispatch import Signal

from memories.pipeline.states import GOOD
from omi.core.errors import Outcome

log = structlog.get_logger(__name__)

run_failed: Final = Signal()
"""Sent with ``run_id, uid, step, vendor, message_id`` inside of the transaction that ends the run."""

NO_FAILURE: Final = (*GOOD, Outcome.CANCELED.value)


def tell(run_id: int, uid: str, outcome: str, *, step: str, vendor: str, message_id: str) -> None:
    """Send the signal, unless the run went well or was canceled. What a receiver raises is logged: no run fails to end
    because its failure cannot be counted."""
    if outcome in NO_FAILURE:
        return
    try:
        with transaction.atomic():
            run_failed.send(None, run_id=run_id, uid=uid, step=step, vendor=vendor, message_id=message_id)
    except Exception:
        log.exception("failure_not_counted", run_id=run_id)
