"""One bounded HTTP exchange with a vendor: no redirects, no retries, a deadline, a size limit, JSON or an error."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from omi.core.bounded_http import trusted
from omi.core.errors import ErrorKind, MissingDependency, Outcome, ProviderError
from omi.core.vendor_errors import broken_answer, from_status, unreachable

MAX_BODY = 100 * 1024 * 1024
CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A vendor's answer. ``body`` is parsed JSON, or None where there was none to read."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def fields(self) -> dict[str, Any]:
        """The body where it is an object, else nothing: for error bodies, whose shape is not promised."""
        return self.body if isinstance(self.body, dict) else {}


def exchange(
    vendor: str,
    method: str,
    url: str,
    *,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    expect_json: bool = True,
    **request: Any,
) -> Answer:
    """Send one request. ``timeout`` bounds the whole exchange, a body that trickles included.

    A redirect is an error: an address that came from outside must not lead the key or the audio to another host.
    Errors: transient for an unreachable, slow, cut or senseless answer. A status of 400 and above is returned: the
    adapter knows what it means.
    """
    deadline = time.monotonic() + timeout
    limits = httpx.Timeout(timeout, connect=min(CONNECT_SECONDS, timeout))
    sent = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
    try:
        with (
            httpx.Client(verify=trusted(httpx), timeout=limits, follow_redirects=False, trust_env=False) as client,
            client.stream(method, url, headers=sent, **request) as response,
        ):
            raw = _read(vendor, response, deadline)
    except httpx.TimeoutException as error:
        raise unreachable(vendor, timed_out=True, cause=error) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable(vendor, timed_out=False, cause=error) from error
    status = response.status_code
    if 300 <= status < 400:
        raise from_status(vendor, status, code="redirect")
    if status >= 400:
        return Answer(status, response.headers, _parse_leniently(raw))
    if not raw and not expect_json:
        return Answer(status, response.headers, None)
    return Answer(status, response.headers, parse_json(vendor, raw))


def _read(vendor: str, response: httpx.Response, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    for chunk in response.iter_bytes():  # as it arrives: gathering chunks of a size would wait past the deadline
        size += len(chunk)
        if size > MAX_BODY:
            raise broken_answer(vendor, "answered with more than 100 MB", code="too_large")
        if time.monotonic() > deadline:
            raise unreachable(vendor, timed_out=True)
        parts.append(chunk)
    return b"".join(parts)


def parse_json(vendor: str, raw: bytes) -> Any:
    """JSON, with what one field may have wrong forgiven: NaN and Infinity are null, of equal keys the last counts, a
    byte order mark is skipped, a byte that is no UTF-8 is one unknown character."""
    try:
        return json.loads(raw.decode("utf-8-sig", "replace"), parse_constant=lambda name: None)
    except (ValueError, RecursionError) as error:
        page = raw[:512].lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml"))
        raise broken_answer(vendor, f"answered with {'a web page' if page else 'broken JSON'}") from error


def _parse_leniently(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None  # the status alone decides


def open_recording(vendor: str, path: Path) -> BinaryIO:
    """Open a recording for upload; raises ProviderError (permanent, invalid_input) where it cannot be read."""
    try:
        return path.open("rb")
    except OSError as error:
        raise ProviderError(
            vendor,
            "the recording is not there",
            kind=ErrorKind.PERMANENT,
            code="audio",
            outcome=Outcome.INVALID_INPUT,
        ) from error


def require_key(vendor: str, key: str, setting: str) -> str:
    """The key, or one clear error before any audio leaves."""
    if not key:
        raise MissingDependency(vendor, f"the key {setting}", f"Set {setting} (or {setting}_FILE) in the environment.")
    return key
