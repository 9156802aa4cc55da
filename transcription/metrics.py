"""What the live path counts, for ``/metrics``. No user, session or text in a label."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from transcription.ports import Accounting

SOCKETS = Gauge("omi_listen_sockets", "Open /listen connections.", multiprocess_mode="livesum")
SECONDS = Counter("omi_audio_seconds", "Seconds of received audio by where they went.", ["outcome"])
FAILED = Counter("omi_audio_failed_seconds", "Seconds of audio that no live vendor transcribed, by reason.", ["reason"])
VENDOR_FAILURES = Counter("omi_live_vendor_failures", "Failures of live vendors.", ["vendor", "kind"])
ENDED = Counter("omi_sessions_ended", "Live sessions that ended.", ["reason"])
RECOVERED = Counter("omi_sessions_recovered", "Sessions finished after their process had died.")


def session_ended(reason: str, account: Accounting) -> None:
    ENDED.labels(reason).inc()
    for outcome in ("transcribed", "silence", "failed"):
        SECONDS.labels(outcome).inc(getattr(account, outcome))
    for why, seconds in account.reasons.items():
        # "deepgram:dropped": the vendor and its code; codes are few, but an unknown one must not make a new series.
        FAILED.labels(why.partition(":")[0]).inc(seconds)
