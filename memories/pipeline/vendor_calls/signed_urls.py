"""Addresses under which vendors fetch a recording and call back (``OMI_PUBLIC_URL``).

A bucket signs its own addresses. For audio in the file system we sign one: random name and end of validity under
``SECRET_KEY``, so that it opens this one recording, for as long as the job may take, and nothing else. Without
``OMI_PUBLIC_URL`` there is no address: the audio travels in the request, and results are polled for.
"""

from __future__ import annotations

import time
from typing import Final

from django.conf import settings
from django.core import signing

from omi.stores import audio

FETCH_PATH: Final = "/v1/vendors/audio/"
WEBHOOK_PATH: Final = "/v1/vendors/fal/webhook"
_SALT: Final = "omi.vendor-audio"


def fetch_url(name: str, seconds: float) -> str | None:
    """Return where a vendor can read audio object ``name`` during ``seconds``; None where there is no such place."""
    own = audio.signed_url(name, seconds)
    if own is not None or not settings.OMI_PUBLIC_URL:
        return own
    token = signing.dumps([name, int(time.time() + seconds)], salt=_SALT)
    return f"{settings.OMI_PUBLIC_URL}{FETCH_PATH}{token}"


def opened(token: str) -> str | None:
    """The audio object that ``token`` opens now; None for one that is forged or past its time."""
    try:
        name, until = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return None
    return str(name) if time.time() < int(until) else None


def webhook_url() -> str | None:
    """Return the address that fal.ai calls back, None where the server has no public one."""
    if settings.FAL_WEBHOOK_URL:
        return str(settings.FAL_WEBHOOK_URL)
    return f"{settings.OMI_PUBLIC_URL}{WEBHOOK_PATH}" if settings.OMI_PUBLIC_URL else None
