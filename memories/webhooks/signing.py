"""Signatures of Standard Webhooks, and the secrets behind them: shown once, kept encrypted."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

PREFIX = "whsec_"
SECRET_BYTES = 32


class SecretLost(Exception):
    """What is stored was encrypted with a secret key that the server no longer has."""


def new_secret() -> str:
    """Make a secret as the receiver's library takes it: ``whsec_`` and base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sealed(secret: str) -> str:
    """Encrypt a secret for the database, so that a copy of the database signs nothing."""
    return _box().encrypt(secret.encode()).decode()


def opened(stored: str) -> str:
    """Decrypt what ``sealed`` made, also with one of ``SECRET_KEY_FALLBACKS``. Raises SecretLost."""
    try:
        return _box().decrypt(stored.encode()).decode()
    except InvalidToken as error:
        raise SecretLost("the webhook's secret cannot be read") from error


def signature(secrets_in_force: Iterable[str], message_id: str, timestamp: int, body: bytes) -> str:
    """Sign ``id.timestamp.body`` with each secret; the header's value, signatures parted by blanks."""
    content = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return " ".join(f"v1,{_hmac(secret, content)}" for secret in secrets_in_force)


def _hmac(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def _box() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    derived = [hashlib.sha256(b"omi.webhooks.secret\0" + key.encode()).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])
