"""Accounts that were erased: a fence that every late writer meets, and a signal for what is open in this process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial

from django.conf import settings
from django.dispatch import Signal

from omi.accounts.models import ErasedAccount, uid_digest
from omi.accounts.principal import Principal
from omi.core import clock
from omi.core.batches import batches

Fence = Callable[[], None]
"""What a write calls inside of its transaction: it raises where the write may not be done (any more)."""
account_erased = Signal()
"""Sent with ``uid`` once the fence stands and before anything is deleted. Receivers may wait for what they end."""


class AccountErased(Exception):
    """The account was erased after this work began: it must not be stored."""


def digests(text: str) -> list[str]:
    """How ``text`` may stand in rows: as today, and as earlier servers wrote it, keyed with the secret key of then."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    earlier = [hashlib.blake2b(text.encode(), key=key.encode()[:64], digest_size=16).hexdigest() for key in keys]
    return [uid_digest(text), *earlier]


def mark_erased(uid: str) -> None:
    """Mark the account as erased: work begun before stores nothing any more, tokens issued before are refused."""
    ErasedAccount.objects.update_or_create(digest=uid_digest(uid), defaults={"erased_at": clock.now()})
    account_erased.send(sender=ErasedAccount, uid=uid)


def erased_since(uid: str, began: datetime) -> bool:
    """Whether the account was erased at or after ``began``."""
    return ErasedAccount.objects.filter(digest__in=digests(uid), erased_at__gte=began).exists()


def require_alive(uid: str, began: datetime) -> None:
    """Make sure that the account was not erased since ``began``; raises AccountErased."""
    if erased_since(uid, began):
        raise AccountErased("the account was erased")


def fence_of(principal: Principal) -> Fence:
    """What a request of ``principal`` calls inside of the transaction that stores what it brought.

    Between the look at the token and the write lies work (decoding, embedding) during which the account may be erased.
    """
    return partial(require_alive, principal.uid, datetime.fromtimestamp(principal.issued_at, UTC))


def erased_among(uids: Iterable[str]) -> dict[str, datetime]:
    """Return when each of these accounts was erased, of those that were."""
    asked = {digest: uid for uid in uids for digest in digests(uid)}
    found: dict[str, datetime] = {}
    for part in batches(asked, 500):
        for digest, moment in ErasedAccount.objects.filter(digest__in=part).values_list("digest", "erased_at"):
            uid = asked[digest]
            found[uid] = max(moment, found.get(uid, moment))
    return found
