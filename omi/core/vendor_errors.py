"""From an HTTP answer to a ProviderError: what every adapter that speaks HTTP shares.

The defaults are the common part of docs/reference/vendors.md; an adapter passes what its vendor does differently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from omi.core.errors import ErrorKind, Outcome, ProviderError

MAX_RETRY_AFTER = 24 * 3600.0
UNREADABLE = "unreadable_answer"
BROKEN = frozenset({"broken_answer", UNREADABLE, "other_job", "too_large"}) | frozenset(
    {"empty_answer", "empty_title", "wrong_count", "wrong_size", "zero_vector"}
)
"""Codes of answers that came, and were of no use."""
KEY_REFUSED = "the key is refused"
"""How every adapter says it: rows and messages know it again by these words (``key_refused``)."""
_CONFIGURATION = frozenset({401, 403, 405})
_KEY = frozenset({401, 403})
_INPUT = frozenset({400, 409, 411, 413, 414, 415, 422})
_TIMEOUT = frozenset({408, 504})
_SAFE = re.compile(r"[^A-Za-z0-9_.:-]")


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds to wait from ``Retry-After`` (seconds or HTTP date); None for nonsense, 0..24 h otherwise."""
    text = headers.get("retry-after") or headers.get("Retry-After") or ""
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    if seconds != seconds:  # NaN is a float too
        return None
    return max(0.0, min(seconds, MAX_RETRY_AFTER))


def safe_code(value: object) -> str:
    """A vendor's code as it may stand in logs: 60 harmless characters at most; prose and lists become ""."""
    text = str(value) if isinstance(value, str | int) else ""
    return "" if " " in text.strip() else _SAFE.sub("", text)[:60]


def key_refused(error: ProviderError) -> bool:
    """Whether the vendor was asked, and does not take our key (as against: there is none)."""
    return KEY_REFUSED in error.message


def from_status(
    vendor: str,
    status: int,
    *,
    headers: Mapping[str, str] | None = None,
    code: str = "",
    kind: ErrorKind | None = None,
    outcome: Outcome | None = None,
) -> ProviderError:
    """The error for an HTTP status. ``kind`` and ``outcome`` overrule the table. Never holds the vendor's own prose."""
    if kind is None:
        kind = _kind(status)
    named = safe_code(code)
    refused = status in _KEY and kind is ErrorKind.PERMANENT and outcome in (None, Outcome.CONFIG_ERROR)
    said = KEY_REFUSED if refused else "answered"
    return ProviderError(
        vendor,
        f"{said} {f'({status})' if refused else status}{f' ({named})' if named else ''}",
        kind=kind,
        code=safe_code(code) or str(status),
        retry_after=retry_after(headers or {}),
        outcome=outcome or _outcome(status, kind),
        possibly_billed=status in _TIMEOUT,
    )


def _kind(status: int) -> ErrorKind:
    if status == 402:
        return ErrorKind.QUOTA
    return ErrorKind.TRANSIENT if status in (408, 425, 429) or status >= 500 else ErrorKind.PERMANENT


def _outcome(status: int, kind: ErrorKind) -> Outcome:
    if kind is ErrorKind.QUOTA:
        return Outcome.QUOTA
    if status in _TIMEOUT:
        return Outcome.TIMEOUT
    if status in _CONFIGURATION or 300 <= status < 400:
        return Outcome.CONFIG_ERROR
    return Outcome.INVALID_INPUT if status in _INPUT else Outcome.UPSTREAM_ERROR


def broken_answer(vendor: str, what: str, *, code: str = "broken_answer") -> ProviderError:
    """An answer that cannot be the vendor's own (a proxy's page, half a body), or one about the state of a job, which
    costs nothing to ask for again: the next one may be right."""
    return ProviderError(
        vendor, what, kind=ErrorKind.TRANSIENT, code=code, outcome=Outcome.UPSTREAM_ERROR, possibly_billed=True
    )


def unreadable(vendor: str, what: str) -> ProviderError:
    """The vendor's own answer, whole and wholly unreadable. Asking again would be paid again and give the same."""
    return ProviderError(
        vendor, what, kind=ErrorKind.PERMANENT, code=UNREADABLE, outcome=Outcome.UPSTREAM_ERROR, possibly_billed=True
    )


def unreachable(vendor: str, *, timed_out: bool, cause: BaseException | None = None) -> ProviderError:
    """Return the error for a vendor that did not answer, or not in time. ``cause``: the error of httpx (of any of its
    versions), which tells whether the request was on its way."""
    possibly_billed = type(cause).__name__ not in _NEVER_SENT
    if timed_out:
        return ProviderError(
            vendor, "did not answer in time", kind=ErrorKind.TRANSIENT, code="timeout", outcome=Outcome.TIMEOUT,
            possibly_billed=possibly_billed,
        )  # fmt: skip
    return ProviderError(
        vendor, "could not be reached", kind=ErrorKind.TRANSIENT, code="connection", possibly_billed=possibly_billed
    )


_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "InvalidURL", "UnsupportedProtocol"})
