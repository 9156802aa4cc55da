"""When the last backup was made, noted as a row when it is done and told by every web server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any, Final

import structlog
from django.db import Error
from prometheus_client.core import GaugeMetricFamily

from omi.shared_metrics.collectors import register_rows
from omi.shared_metrics.models import SharedTotal

log = structlog.get_logger(__name__)

LAST: Final = "omi_backup_last_timestamp_seconds"
TIMER: Final = "timer"
HAND: Final = "hand"


def note(by: str) -> None:
    """Note that a backup was made just now: by a timer, after which the next is expected in a day, or by hand. The
    backup is there, also where this cannot be written."""
    try:
        SharedTotal.objects.update_or_create(name=LAST, labels=json.dumps([by]), defaults={"value": time.time()})
    except Error as error:
        log.warning("shared_metrics_unavailable", error=type(error).__name__)


def forget() -> int:
    """Forget when backups were made, where no timer is to make any more; how many moments."""
    return int(SharedTotal.objects.filter(name=LAST).delete()[0])


def families() -> Iterable[Any]:
    """One query. There is no sample where no backup was made."""
    last = GaugeMetricFamily(LAST, "When the last backup was made, by whom.", labels=["by"])
    for labels, value in SharedTotal.objects.filter(name=LAST).values_list("labels", "value"):
        last.add_metric(json.loads(labels), value)
    yield last


def register() -> None:
    """Register the figure of backups at Prometheus, when the app is ready."""
    register_rows(families)
