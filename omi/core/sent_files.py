"""Files as answers of a server that is asynchronous: piece by piece, read in the request's own thread.

Django's ``FileResponse`` is read to its end there before its first byte is sent: an export stood in memory whole, and
so did a recording of hours.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

PIECE = 256 * 1024


def sent(
    file: Any, *, content_type: str, filename: str = "", ended: Callable[[], None] | None = None
) -> StreamingHttpResponse:
    """An answer with what ``file`` has. ``filename``: what a browser keeps it as (ASCII). The file is closed, and
    ``ended`` called, when the answer has been read, or its reader has left."""
    ending = contextlib.ExitStack()
    if ended is not None:
        ending.callback(ended)
    ending.callback(file.close)
    answer = StreamingHttpResponse(_pieces(file, ending), content_type=content_type)
    vars(answer)["_resource_closers"].append(ending.close)  # for an answer that was never begun
    if filename:
        answer.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    if file.seekable():
        answer.headers["Content-Length"] = str(file.seek(0, os.SEEK_END))
        file.seek(0)
    return answer


async def _pieces(file: Any, ending: contextlib.ExitStack) -> AsyncIterator[bytes]:
    try:
        while piece := await sync_to_async(file.read)(PIECE):
            yield piece
    finally:  # Django closes no answer that failed. In the thread that reads: what it has open is that thread's.
        await sync_to_async(ending.close)()
