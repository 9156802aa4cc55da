"""Bearer tokens for Django REST framework. Bodies of a 401 are the original's (docs/reference/app-protocol.md)."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions, status
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from omi.accounts.identity import IdentityUnavailable, InvalidToken, verify_token
from omi.accounts.principal import Principal

NO_HEADER = "Authorization header not found"
BAD_TOKEN = "Invalid authorization token"  # noqa: S105


class Unavailable(exceptions.APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "Identity cannot be checked at the moment, please try again."
    default_code = "identity_unavailable"
    wait = 5


class BearerAuthentication(BaseAuthentication):
    """``request.user`` is a Principal, ``request.auth`` the token. Without a header: nobody (views decide)."""

    def authenticate(self, request: Request) -> tuple[Principal, str] | None:
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise exceptions.AuthenticationFailed(BAD_TOKEN)
        try:
            return verify_token(token.strip()), token.strip()
        except InvalidToken as error:
            raise exceptions.AuthenticationFailed(BAD_TOKEN) from error
        except IdentityUnavailable as error:
            raise Unavailable from error

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _register_schema() -> None:
    from drf_spectacular.extensions import OpenApiAuthenticationExtension

    class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
        target_class = "omi.accounts.authentication.BearerAuthentication"
        name = "bearer"

        def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
            return {"type": "http", "scheme": "bearer", "description": "Firebase ID token, or a development token."}


_register_schema()
