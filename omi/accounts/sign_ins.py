"""What became of the tokens that were checked, for ``/metrics``: who cannot sign in is not recorded, and tells nobody.

All doors (requests, bodies, pages, sockets) ask ``identity.verify_token``, which counts here. No label and no line
names a user; of a refused token a digest is kept in memory for half an hour.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from hashlib import blake2b
from threading import Lock

from prometheus_client import Counter, Gauge

OUTCOMES = ("accepted", "invalid", "expired", "ended", "unavailable")
"""``invalid``: of another key, another project or damaged; ``ended``: the user signed out, was disabled or is gone;
``unavailable``: whether it is good could not be asked."""
REMEMBERED_SECONDS = 1800.0
MOST = 1000
"""Refused tokens that are remembered: more of them say nothing more."""

SIGN_INS = Counter("omi_sign_ins_total", "Tokens that were checked, by what became of it.", ["outcome"])
TOKENS_REFUSED = Gauge(
    "omi_sign_in_tokens_refused",
    "Different tokens that were refused in the last half hour, and since this process last accepted one.",
)
for _outcome in OUTCOMES:
    SIGN_INS.labels(_outcome)

_refused: OrderedDict[bytes, float] = OrderedDict()
"""Digest of a token to the moment (monotonic) at which it was last refused, oldest first."""
_lock = Lock()


def accepted() -> None:
    """Count a token that was good: whoever was refused before, it was not this server's fault."""
    SIGN_INS.labels("accepted").inc()
    if _refused:
        with _lock:
            _refused.clear()


def refused(outcome: str, token: str) -> None:
    """Count a token that was refused. One client that comes back again and again is one token."""
    SIGN_INS.labels(outcome).inc()
    digest = blake2b(token.encode(errors="replace"), digest_size=16).digest()
    with _lock:
        _refused[digest] = time.monotonic()
        _refused.move_to_end(digest)
        if len(_refused) > MOST:
            _refused.popitem(last=False)


def in_vain() -> int:
    """How many different tokens were refused in the last half hour, and since one was accepted."""
    past = time.monotonic() - REMEMBERED_SECONDS
    with _lock:
        while _refused and next(iter(_refused.values())) < past:
            _refused.popitem(last=False)
        return len(_refused)


TOKENS_REFUSED.set_function(in_vain)
