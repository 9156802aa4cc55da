"""Addresses that no store can hold are refused at the door."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.decorators import sync_and_async_middleware


@sync_and_async_middleware
def refuse_nul(get_response: Any) -> Any:
    """NUL in a path names nothing (404), in a query it is no text (422). PostgreSQL takes it nowhere, and so a look-up
    by it would be the server's fault there and an empty answer on SQLite."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> Any:
            return _refusal(request) or await get_response(request)

        return answer_async

    def answer(request: HttpRequest) -> Any:
        return _refusal(request) or get_response(request)

    return answer


def _refusal(request: HttpRequest) -> HttpResponse | None:
    if "\0" in request.path_info:
        return JsonResponse({"detail": "Not Found"}, status=404)
    query = request.META.get("QUERY_STRING", "")
    if "%00" in query or "\0" in query:
        error = {"type": "string_type", "loc": ["query"], "msg": "NUL is not part of a text"}
        return JsonResponse({"detail": [error]}, status=422)
    return None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there. A name other than ``localhost`` counts as not."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
