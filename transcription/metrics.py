"""What the live path counts, for ``/metrics``. No user, session or text in a label.

Sessions end in the web process, are recovered by whatever process finds them, and what failed is made good by workers,
whom nobody scrapes. Their seconds are therefore counters of all processes (``omi.shared_metrics``).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import structlog
from django.conf import settings
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily

from omi.core.errors import ErrorKind
from omi.shared_metrics.collectors import register_rows
from omi.shared_metrics.counters import SharedCounter
from transcription.models import LiveVendorBreaker
from transcription.ports import Accounting

log = structlog.get_logger(__name__)

SOCKETS = Gauge("omi_listen_sockets", "Open /listen connections.", multiprocess_mode="livesum")
SESSIONS = Gauge("omi_sessions_live", "Live conversations of this process, with those that are being ended.")
ADMITTED = Counter("omi_listen_admitted", "/listen connections that were let in.")
REFUSED = Counter("omi_listen_refused", "/listen connections that were refused or sent away, by reason.", ["reason"])
REFUSALS = (
    "unauthenticated", "identity_unavailable", "bad_request", "server_full", "too_often", "too_many_sockets",
    "daily_audio", "disk_nearly_full", "database_slow", "queue_too_old", "frame_too_big", "too_fast",
)  # fmt: skip
"""Every reason that a client is told (docs/listen.md)."""
VENDOR_FAILURES = Counter("omi_live_vendor_failures", "Failures of live vendors.", ["vendor", "kind"])
FAILURE_KINDS = (*(kind.value for kind in ErrorKind), "local_streams", "internal")
"""Kinds of a live vendor's failures: what may be done about it, and two that are no vendor's fault. ``local_streams``:
a stream too many for this machine; ``internal``: a fault of our own."""
VENDOR_AUDIO = Counter("omi_live_vendor_audio_seconds", "Seconds of audio sent to live vendors.", ["vendor"])
VENDOR_REPLAYED = Counter(
    "omi_live_vendor_replayed_seconds",
    "Of these, seconds that a vendor was sent before, after a reconnection.",
    ["vendor"],
)
VENDOR_WORDS = Histogram(
    "omi_live_vendor_words_seconds",
    "Seconds of audio that came between the end of the last word of a final result and that result, while audio comes.",
    ["vendor"],
    buckets=(0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30),
)
DROPPED = Counter(
    "omi_audio_dropped_seconds", "Seconds of audio that a socket brought and no session took, by reason.", ["reason"]
)
VOICES = Counter(
    "omi_live_voices",
    "Questions of live sessions to the voice engine, by what was asked and how it ended.",
    ["what", "outcome"],
)
JOURNAL_FAILURES = Counter(
    "omi_journal_failures", "Journals that could not be opened, and writes and syncs that the disk refused.", ["what"]
)

# From the start at 0: Prometheus sees no increase in a series that begins with what it has counted.
for _what in ("open", "write", "sync"):
    JOURNAL_FAILURES.labels(_what)
for _reason in REFUSALS:
    REFUSED.labels(_reason)
for _reason in ("draining", "no_room"):
    DROPPED.labels(_reason)
for _what in ("name", "tell_apart"):
    for _outcome in ("answered", "failed", "slow"):
        VOICES.labels(_what, _outcome)

SECONDS = SharedCounter(
    "omi_audio_seconds",
    "Seconds of received audio by where they went when the session ended.",
    ["outcome"],
    begin=[("transcribed",), ("silence",), ("failed",)],
)
FAILED = SharedCounter(
    "omi_audio_failed_seconds", "Seconds of audio that no live vendor transcribed, by reason.", ["reason"]
)
SETTLED = SharedCounter(
    "omi_audio_settled_seconds", "Failed seconds that were transcribed, or found silent, from the journal afterwards."
)
LIVE_DOLLARS = SharedCounter(
    "omi_live_vendor_cost_dollars", "Audio that was sent to live vendors, at list prices (an estimate).", ["vendor"]
)
ENDED = SharedCounter("omi_sessions_ended", "Live sessions that ended.", ["reason"])
RECOVERED = SharedCounter("omi_sessions_recovered", "Sessions finished after their process had died.")


def socket_refused(reason: str) -> None:
    """Count and log that a socket was refused or sent away. Who it was stays unsaid; the client was told why."""
    REFUSED.labels(reason).inc()
    log.info("socket_refused", reason=reason)


def session_ended(reason: str, account: Accounting, *, recovered: bool = False, counted: bool = False) -> None:
    """Count a session. ``counted``: it was when it ended, and is only recovered now. Nothing is written yet:
    ``counters.flush`` does, in a thread."""
    if recovered:
        RECOVERED.inc()
    if counted:
        return
    ENDED.inc(reason)
    for outcome in ("transcribed", "silence", "failed"):
        SECONDS.inc(outcome, amount=getattr(account, outcome))
    for why, seconds in account.reasons.items():
        # "deepgram:dropped": the vendor and its code; codes are few, but an unknown one must not make a new series.
        FAILED.inc(why.partition(":")[0], amount=seconds)


def breakers() -> Iterable[Any]:
    """Breakers of live vendors, read from their rows: as many as there are vendors."""
    family = GaugeMetricFamily(
        "omi_live_vendor_breaker_open",
        "1 while a live vendor is not called; alarm: it refused by key or quota.",
        labels=["vendor", "alarm"],
    )
    for vendor, retry_at, alarm in LiveVendorBreaker.objects.values_list("vendor", "retry_at", "alarm"):
        family.add_metric([vendor, str(alarm).lower()], float(alarm or retry_at > time.time()))
    yield family


def register() -> None:
    """Register the figures of live sessions at Prometheus; once per process, when the app is ready. The series of the
    live vendors in use begin at 0."""
    register_rows(breakers)
    for vendor in settings.OMI_LIVE:
        VENDOR_AUDIO.labels(vendor)
        for kind in FAILURE_KINDS:
            VENDOR_FAILURES.labels(vendor, kind)
