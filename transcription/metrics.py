"""What the live path counts, for ``/metrics``. No user, session or text in a label.

Sessions end in the web process, are recovered by whatever process finds them, and what failed is made good by workers,
whom nobody scrapes. Their seconds are therefore added up in rows, and read from there.
"""

from __future__ import annotations

import threading
import time
from collections import Counter as Tally
from collections.abc import Iterable
from typing import Any

import structlog
from django.db import Error
from django.db.models import F
from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from transcription.models import AudioTotal, VendorBreaker
from transcription.ports import Accounting

log = structlog.get_logger(__name__)

SOCKETS = Gauge("omi_listen_sockets", "Open /listen connections.", multiprocess_mode="livesum")
SESSIONS = Gauge("omi_sessions_live", "Live conversations of this process, with those that are being ended.")
VENDOR_FAILURES = Counter("omi_live_vendor_failures", "Failures of live vendors.", ["vendor", "kind"])
VENDOR_AUDIO = Counter("omi_live_vendor_audio_seconds", "Seconds of audio sent to live vendors.", ["vendor"])
VENDOR_REPLAYED = Counter(
    "omi_live_vendor_replayed_seconds",
    "Of these, seconds that a vendor was sent before, after a reconnection.",
    ["vendor"],
)
DROPPED = Counter(
    "omi_audio_dropped_seconds", "Seconds of audio that a socket brought and no session took, by reason.", ["reason"]
)
JOURNAL_FAILURES = Counter("omi_journal_failures", "Writes and syncs of a journal that the disk refused.", ["what"])

for _what in ("write", "sync"):
    JOURNAL_FAILURES.labels(_what)

SECONDS, FAILED, SETTLED = "omi_audio_seconds", "omi_audio_failed_seconds", "omi_audio_settled_seconds"
ENDED, RECOVERED = "omi_sessions_ended", "omi_sessions_recovered"
_FAMILIES = {
    SECONDS: ("Seconds of received audio by where they went when the session ended.", "outcome"),
    FAILED: ("Seconds of audio that no live vendor transcribed, by reason.", "reason"),
    SETTLED: ("Failed seconds that were transcribed, or found silent, from the journal afterwards.", ""),
    ENDED: ("Live sessions that ended.", "reason"),
    RECOVERED: ("Sessions finished after their process had died.", ""),
}

_AT_NOUGHT = {SECONDS: ("transcribed", "silence", "failed")}
"""Series that are told before they count anything: Prometheus sees no increase in one that begins at 1."""

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


class _Breakers:
    """Breakers of live vendors, read from their rows: as many as there are vendors."""

    def describe(self) -> Iterable[Any]:
        return []

    def collect(self) -> Iterable[Any]:
        family = GaugeMetricFamily(
            "omi_live_vendor_breaker_open",
            "1 while a live vendor is not called; alarm: it refused by key or quota.",
            labels=["vendor", "alarm"],
        )
        try:
            rows = list(VendorBreaker.objects.values_list("vendor", "retry_at", "alarm"))
        except Error:
            return
        for vendor, retry_at, alarm in rows:
            family.add_metric([vendor, str(alarm).lower()], float(alarm or retry_at > time.time()))
        yield family


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
            at_nought = dict.fromkeys(_AT_NOUGHT.get(name, [] if labelled else [""]), 0.0)
            for label, value in {**at_nought, **dict(rows)}.items():
                family.add_metric([label] if labelled else [], value)
            yield family


def register() -> None:
    """Once per process, when the app is ready."""
    if not any(isinstance(item, _Totals) for item in list(REGISTRY._collector_to_names)):
        REGISTRY.register(_Totals())
        REGISTRY.register(_Breakers())
