"""Event streams are bounded: of one user and of this process. One that finds no place is 429 with ``Retry-After``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse, StreamingHttpResponse

from omi.accounts.identity import verify_token
from omi.seats import STREAMS, Seat

AGAIN = 30
"""Seconds to come back in: a stream that was forgotten by a dead client ends within a ping or two."""

View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]
Routed = Callable[..., Any]


def bounded(view: View) -> Routed:
    """``view`` answers with a stream that lasts; whoever asks has a place while it does."""

    async def answer(request: HttpRequest) -> HttpResponseBase:
        token = request.headers.get("Authorization", "").partition(" ")[2].strip()
        try:
            principal = await sync_to_async(verify_token)(token)
        except Exception:
            return await view(request)  # which meets the same, and refuses it in its own words
        per_user, in_all = settings.OMI_STREAMS_PER_USER, settings.OMI_STREAMS_PER_PROCESS
        seat = STREAMS.take(principal.uid, per_user=per_user, in_all=in_all)
        if seat is None:
            told = {"detail": "Too many event streams are open, please close one or try again later"}
            return JsonResponse(told, status=429, headers={"Retry-After": str(AGAIN)})
        try:
            response = await view(request)
        except BaseException:
            seat.leave()
            raise
        if not isinstance(response, StreamingHttpResponse):
            seat.leave()
            return response
        response.streaming_content = _until_it_ends(response.streaming_content, seat)
        closers: list[Callable[[], None]] = response._resource_closers  # type: ignore[attr-defined]
        closers.append(seat.leave)  # also where nobody began to read it
        return response

    return answer


async def _until_it_ends(content: Any, seat: Seat) -> AsyncIterator[bytes]:
    try:
        async for piece in content:
            yield piece
    finally:
        seat.leave()
        await content.aclose()
