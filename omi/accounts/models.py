"""What must be remembered of an account that is gone: that it is gone, without saying whose it was."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.db import models
from django.utils import timezone


def uid_digest(uid: str) -> str:
    """A keyed digest: the row proves an erasure to who knows the uid, and tells nobody else anything."""
    return hashlib.blake2b(uid.encode(), key=settings.SECRET_KEY.encode()[:64], digest_size=16).hexdigest()


class ErasedAccount(models.Model):
    """A write fence: tokens issued before ``erased_at`` are refused, so that an open app cannot bring data back."""

    digest = models.CharField(max_length=32, unique=True)
    erased_at = models.DateTimeField(default=timezone.now)
    receipt = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.digest} {self.erased_at:%Y-%m-%d}"


class SignOut(models.Model):
    """Tokens of this user that were issued until ``at`` are refused (``omi.accounts.revocation``)."""

    uid = models.CharField(max_length=128, unique=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.uid} {self.at:%Y-%m-%d %H:%M}"
