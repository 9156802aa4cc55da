"""Documents that cannot be read: staff see them in a list, with their paths, until they are repaired or gone.

Whoever reads many documents leaves a damaged one out and reports it here; whoever asked for that one gets an error.
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.db import DatabaseError, transaction
from django.utils import timezone

from omi.core.metrics import documents_unreadable_total
from omi.stores.models import DamagedDocument

log = structlog.get_logger(__name__)

SEEN_AGAIN = timedelta(hours=1)
"""How often the row of a known one is written anew: a list that is read every second writes nothing."""


def report(path: str, error: Exception) -> None:
    """Log and remember it. Never raises: a reader that found one bad document goes on to the good ones."""
    documents_unreadable_total.inc()
    reason = type(error).__name__
    log.error("document_unreadable", path=path, reason=reason)
    now = timezone.now()
    try:
        with transaction.atomic():
            if not DamagedDocument.objects.filter(path=path, last_seen__gt=now - SEEN_AGAIN).exists():
                DamagedDocument.objects.update_or_create(path=path, defaults={"last_seen": now, "reason": reason})
    except DatabaseError as failure:
        log.warning("document_unreadable_not_remembered", error=type(failure).__name__)


def forget(path: str) -> int:
    """The document is gone or readable again, and so is what lies below it."""
    below = DamagedDocument.objects.filter(path__startswith=f"{path}/")
    return int(below.delete()[0]) + int(DamagedDocument.objects.filter(path=path).delete()[0])
