"""Audio over HTTP, whole or one stretch of it: playing from any point."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request

from omi.stores import audio
from omi.stores.models import AudioObject

_RANGE = re.compile(r"^bytes=([0-9]{0,18})-([0-9]{0,18})$")
_CHUNK = 256 * 1024
_TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".opus": "audio/ogg"}

Pieces = Callable[[int, int], AsyncIterator[bytes]]
"""The bytes from a place on, so many of them."""


def ranged(request: Request | HttpRequest, found: AudioObject) -> HttpResponseBase:
    """An audio object as it is stored."""
    suffix = found.name[found.name.rfind(".") :] if "." in found.name else ".wav"
    told = {"Content-Type": _TYPES.get(suffix, "application/octet-stream"), "ETag": f'"{found.sha256}"'}
    return stretch(request, found.size, told, lambda start, count: _bytes(found, start, count))


def stretch(request: Request | HttpRequest, size: int, headers: dict[str, str], pieces: Pieces) -> HttpResponseBase:
    """RFC 9110 14 of something that has ``size`` bytes: one range gives 206, an unusable one 416, several or another
    unit the whole."""
    start, end = 0, size - 1
    asked = _RANGE.match(request.headers.get("Range", "").replace(" ", ""))
    if asked is not None and asked.group(0) != "bytes=-":
        first, last = asked.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last), size - 1) if first and last else size - 1
        if start > end or start >= size or (not first and int(last) == 0):
            return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"})
    partial = asked is not None and asked.group(0) != "bytes=-"
    told = {
        "Content-Length": str(end - start + 1),
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        **headers,
    }
    if partial:
        told["Content-Range"] = f"bytes {start}-{end}/{size}"
    if request.method == "HEAD":
        return HttpResponse(status=206 if partial else 200, headers=told)
    return StreamingHttpResponse(pieces(start, end - start + 1), status=206 if partial else 200, headers=told)


async def _bytes(found: AudioObject, start: int, count: int) -> AsyncIterator[bytes]:
    """The stretch in pieces, so that a long recording is never in memory; reading happens in threads."""
    file: Any = await sync_to_async(audio.open)(found)
    try:
        await sync_to_async(file.seek)(start)
        while count > 0:
            piece = await sync_to_async(file.read)(min(_CHUNK, count))
            if not piece:  # shorter than it was said to be: the client is to see that, not to wait for the rest
                raise OSError("the audio object ended early")
            count -= len(piece)
            yield piece
    finally:
        await sync_to_async(file.close)()
