"""Bearer tokens of requests. What they raise is answered by ``memories.api.errors``."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from omi.accounts.identity import InvalidToken, verify_token
from omi.accounts.principal import Principal


class BearerAuthentication(BaseAuthentication):
    """Authenticates a request by its bearer token: ``request.user`` is a Principal, ``request.auth`` the token. Without
    a header: nobody (views decide)."""

    def authenticate(self, request: Request) -> tuple[Principal, str] | None:
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise InvalidToken
        return verify_token(token.strip()), token.strip()

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def bearer_of(request: HttpRequest) -> Principal:
    """Who asks, for views outside of the REST framework. Raises NotAuthenticated, InvalidToken, IdentityUnavailable."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise exceptions.NotAuthenticated
    return verify_token(token.strip())


def _register_schema() -> None:
    from drf_spectacular.extensions import OpenApiAuthenticationExtension

    class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
        target_class = "omi.accounts.authentication.BearerAuthentication"
        name = "bearer"

        def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
            return {"type": "http", "scheme": "bearer", "description": "Firebase ID token, or a development token."}


_register_schema()
