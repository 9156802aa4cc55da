"""Whose request it is: every access function of the APIs takes this uid, so that a stranger finds nothing."""

from __future__ import annotations

from typing import cast

from rest_framework.request import Request

from omi.accounts import erased
from omi.accounts.principal import Principal


def uid_of(request: Request) -> str:
    """The uid of the credentials, never of the query (docs/reference/app-protocol.md)."""
    return cast("Principal", request.user).uid


def fence_of(request: Request) -> erased.Fence:
    """Return the fence of a request's writes. Called inside of the transaction that stores something: raises
    AccountErased where the account is gone."""
    return erased.fence_of(cast("Principal", request.user))
