"""A file as an answer, sent in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import cast

from asgiref.sync import sync_to_async
from django.http import FileResponse


class StreamedFile(FileResponse):
    """As Django's ``FileResponse``, which under ASGI reads the whole file into memory before it sends the first byte:
    an account's export may be gigabytes. It is read in the request's own thread, whose database connection is closed
    with the request."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = cast("Iterator[bytes]", self.streaming_content)
        read = sync_to_async(partial(next, pieces, None))
        try:
            while (piece := await read()) is not None:
                yield piece
        except Exception:  # Django closes what was sent to its end, and what the client left; not what broke
            await sync_to_async(self.close)()
            raise
