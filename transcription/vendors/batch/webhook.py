"""Is this callback really fal's? Ed25519 over the raw body, with a replay window.

The caller answers 401 to WebhookRefused, 503 to ProviderError (fal tries again), and remembers the request ids it has
already taken: the same callback may come twice within the window.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.core.cache import cache

from omi.core.errors import ErrorKind, ProviderError
from omi.core.vendor_errors import broken_answer, from_status
from transcription.vendors.batch.http import exchange

VENDOR = "fal_whisperx"
REPLAY_SECONDS = 300
KEYS_KEPT_SECONDS = 24 * 3600
REFETCH_SECONDS = 300  # after a signature that no known key made, new keys are looked for at most this often
KEYS_TIMEOUT = 10.0  # the callback waits for it, and fal for the callback
MAX_KEYS = 32
_PREFIX = "x-fal-webhook-"


class WebhookRefused(Exception):
    """The callback is not fal's, or is too old. ``reason`` is one of: missing, stale, signature."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"fal webhook refused: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class VerifiedWebhook:
    """A callback whose signature is fal's: the job's id, fal's user id, and its Unix time in seconds."""

    request_id: str
    user_id: str
    timestamp: int


def verify(headers: Mapping[str, str], raw_body: bytes | Iterable[bytes], now: float | None = None) -> VerifiedWebhook:
    """The sender's own request id, once the signature over exactly these bytes holds.

    The body may come in pieces: only its digest is needed, and a stranger's body takes no memory. It is not touched
    where the headers are missing or too old.
    ``headers`` in any case; ``now`` in seconds since 1970. Raises WebhookRefused, or ProviderError (transient) when
    fal's keys cannot be had.
    """
    given = {name.lower(): value for name, value in headers.items()}
    values = [given.get(f"{_PREFIX}{part}", "") for part in ("request-id", "user-id", "timestamp", "signature")]
    request_id, user_id, timestamp, signature = values
    if not all(values) or any("\n" in value or len(value) > 300 for value in values):
        raise WebhookRefused("missing")
    try:
        moment, signed = int(timestamp), bytes.fromhex(signature)
    except ValueError as error:
        raise WebhookRefused("signature") from error
    if abs((time.time() if now is None else now) - moment) > REPLAY_SECONDS:
        raise WebhookRefused("stale")
    digest = hashlib.sha256()
    for piece in [raw_body] if isinstance(raw_body, bytes) else raw_body:
        digest.update(piece)
    message = "\n".join([request_id, user_id, timestamp, digest.hexdigest()]).encode()
    if not _signed_by_any(_keys(), message, signed) and not _signed_by_any(_newer_keys(), message, signed):
        raise WebhookRefused("signature")
    return VerifiedWebhook(request_id, user_id, moment)


def _signed_by_any(keys: list[bytes], message: bytes, signature: bytes) -> bool:
    for key in keys:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


def _cache_name(kind: str) -> str:
    return f"fal-{kind}-{hashlib.sha256(settings.FAL_JWKS_URL.encode()).hexdigest()[:16]}"


def _keys() -> list[bytes]:
    with _cache_errors():
        known: list[bytes] | None = cache.get(_cache_name("jwks"))
    return known if known else _fetch()


def _newer_keys() -> list[bytes]:
    """fal may have changed its keys; ``add`` lets one fetch through per window, whoever knocks."""
    with _cache_errors():
        first = cache.add(_cache_name("refetch"), 1, REFETCH_SECONDS)
    return _fetch() if first else []


@contextmanager
def _cache_errors() -> Iterator[None]:
    """Without the cache nothing bounds how often a stranger makes us fetch keys: fal is asked to come again."""
    try:
        yield
    except Exception as error:  # each cache backend has its own
        raise ProviderError("cache", "the cache is out of reach", kind=ErrorKind.TRANSIENT, code="cache") from error


def _fetch() -> list[bytes]:
    answer = exchange(VENDOR, "GET", settings.FAL_JWKS_URL, timeout=KEYS_TIMEOUT)
    if answer.status >= 400:
        raise from_status(VENDOR, answer.status, headers=answer.headers, code="jwks")
    listed = answer.fields.get("keys")
    keys = [key for item in (listed if isinstance(listed, list) else [])[:MAX_KEYS] if (key := _key(item))]
    if not keys:
        raise broken_answer(VENDOR, "published no usable key", code="jwks")
    with _cache_errors():
        cache.set(_cache_name("jwks"), keys, KEYS_KEPT_SECONDS)
    return keys


def _key(item: object) -> bytes | None:
    if not isinstance(item, dict) or item.get("kty") != "OKP" or item.get("crv") != "Ed25519":
        return None
    text = str(item.get("x", ""))
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == 32 else None
