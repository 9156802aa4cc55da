"""Whose request it is."""

from __future__ import annotations

from typing import cast

from rest_framework.request import Request

from omi.accounts.principal import Principal


def uid_of(request: Request) -> str:
    """The uid of the credentials, never of the query (omi-protocol 1.3)."""
    return cast("Principal", request.user).uid
