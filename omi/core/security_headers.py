"""Content-Security-Policy on every answer: a page of ours runs our scripts only, what is no page runs none.

What somebody said is shown to staff in a browser; whatever hid in it must find nothing that would run it.
"""

from __future__ import annotations

from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware

_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_PAGE = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_ADMIN = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; media-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_APP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_DOCS = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Swagger UI writes styles into its elements; its scripts are files."""


def policy(path: str) -> str:
    """Return the Content-Security-Policy of the answers under a path."""
    if path.startswith("/admin"):
        return _ADMIN
    if path == "/app" or path.startswith("/app/"):
        return _APP
    if path == "/docs":
        return _DOCS
    return _PAGE if path == "/" else _NOTHING


@sync_and_async_middleware
def content_security_policy(get_response: Any) -> Any:
    """First of the middleware, so that static files and refusals have it, too."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> Any:
            return _with_policy(request, await get_response(request))

        return answer_async

    def answer(request: HttpRequest) -> Any:
        return _with_policy(request, get_response(request))

    return answer


def _with_policy(request: HttpRequest, response: Any) -> Any:
    response.headers.setdefault("Content-Security-Policy", policy(request.path_info))
    return response
