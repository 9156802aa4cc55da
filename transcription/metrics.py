"""What the live path counts, for ``/metrics``. No user, session or text in a label.

Sessions end in the web process, are recovered by whatever process finds them, and what failed is made good by workers,
whom nobody scrapes. Their seconds are therefore added up in rows, and read from there.
"""

from __future__ import annotations

import threading
from collections import Counter as Tally
from collections.abc import Iterable
from typing import Any

import structlog
from django.db import Error
from django.db.models import F
from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import CounterMetricFamily

from transcription.models import AudioTotal
from transcription.ports import Accounting

log = structlog.get_logger(__name__)

SOCKETS = Gauge("omi_listen_sockets", "Open /listen connections.", multiprocess_mode="livesum")
VENDOR_FAILURES = Counter("omi_live_vendor_failures", "Failures of live vendors.", ["vendor", "kind"])

SECONDS, FAILED, SETTLED = "omi_audio_seconds", "omi_audio_failed_seconds", "omi_audio_settled_seconds"
ENDED, RECOVERED = "omi_sessions_ended", "omi_sessions_recovered"
_FAMILIES = {
    SECONDS: ("Seconds of received audio by where they went when the session ended.", "outcome"),
    FAILED: ("Seconds of audio that no live vendor transcribed, by reason.", "reason"),
    SETTLED: ("Failed seconds that were transcribed, or found silent, from the journal afterwards.", ""),
    ENDED: ("Live sessions that ended.", "reason"),
    RECOVERED: ("Sessions finished after their process had died.", ""),
}

_pending: Tally[tuple[str, str]] = Tally()
_lock = threading.Lock()


def session_ended(reason: str, account: Accounting, *, recovered: bool = False, counted: bool = False) -> None:
    """Count a session. ``counted``: it was when it ended, and is only recovered now. Nothing is written yet: ``flush``
    does, in a thread."""
    with _lock:
        if recovered:
            _pending[RECOVERED, ""] += 1
        if counted:
            return
        _pending[ENDED, reason] += 1
        for outcome in ("transcribed", "silence", "failed"):
            _pending[SECONDS, outcome] += getattr(account, outcome)
        for why, seconds in account.reasons.items():
            # "deepgram:dropped": the vendor and its code; codes are few, but an unknown one must not make a new series.
            _pending[FAILED, why.partition(":")[0]] += seconds  # type: ignore[assignment]  # seconds are no integers


def settled(seconds: float) -> None:
    with _lock:
        _pending[SETTLED, ""] += seconds  # type: ignore[assignment]


def flush() -> None:
    """Add what was counted to the rows. Blocking; while the database is away it is kept for the next time."""
    with _lock:
        counted = dict(_pending)
        _pending.clear()
    for key in list(counted):
        name, label = key[0], key[1][:64]
        try:
            if not AudioTotal.objects.filter(name=name, label=label).update(value=F("value") + counted[key]):
                AudioTotal.objects.get_or_create(name=name, label=label)
                AudioTotal.objects.filter(name=name, label=label).update(value=F("value") + counted[key])
        except Error as error:
            log.warning("audio_totals_unavailable", error=type(error).__name__)
            break
        del counted[key]
    with _lock:
        _pending.update(counted)


class _Totals:
    def describe(self) -> Iterable[Any]:
        return []  # nothing is asked of the database while the process starts

    def collect(self) -> Iterable[Any]:
        flush()
        try:
            found = list(AudioTotal.objects.values_list("name", "label", "value"))
        except Error:
            return
        for name, (sentence, labelled) in _FAMILIES.items():
            family = CounterMetricFamily(name, sentence, labels=[labelled] if labelled else [])
            rows = [(label, value) for own, label, value in found if own == name]
            for label, value in rows or ([] if labelled else [("", 0.0)]):
                family.add_metric([label] if labelled else [], value)
            yield family


def register() -> None:
    """Once per process, when the app is ready."""
    if not any(isinstance(item, _Totals) for item in list(REGISTRY._collector_to_names)):
        REGISTRY.register(_Totals())
