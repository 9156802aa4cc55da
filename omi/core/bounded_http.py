"""A size and time limit for HTTP clients that an SDK drives: it reads whole bodies, however long and slow they are."""

from __future__ import annotations

import ssl
import time
import zlib
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

MAX_BODY = 100 * 1024 * 1024


@cache
def trusted(library: ModuleType) -> ssl.SSLContext:
    """The certificates that ``httpx`` or ``httpx2`` trusts, read once a process: a fortieth of a second of a core."""
    context: ssl.SSLContext = library.create_ssl_context(trust_env=False)
    return context


def bounded_client(library: ModuleType, *, timeout: float, max_body: int = MAX_BODY) -> Any:
    """A ``Client`` of ``httpx`` or ``httpx2`` (openai brings its own copy) without redirects or proxies of the
    environment, whose answers end after ``timeout`` seconds or ``max_body`` bytes with that library's own errors."""
    limits = library.Timeout(timeout, connect=min(10.0, timeout))
    inner = library.HTTPTransport(verify=trusted(library), trust_env=False)
    transport = bounded_transport(library, inner, timeout=timeout, max_body=max_body)
    return library.Client(transport=transport, timeout=limits, follow_redirects=False, trust_env=False)


def bounded_transport(library: ModuleType, inner: Any, *, timeout: float, max_body: int = MAX_BODY) -> Any:
    """Return ``inner`` with an end to every answer. httpx's own limit is for each read: a byte a second goes on for
    ever.

    Packed answers are not asked for, and are unpacked here where they come nevertheless: the limit is for what is
    unpacked, of which 100 kB on the wire can hold 100 MB."""

    class Body(library.SyncByteStream):  # type: ignore[name-defined,misc]
        def __init__(self, stream: Any, deadline: float, packed: bool) -> None:
            self._stream, self._deadline = stream, deadline
            self._unpack = zlib.decompressobj(wbits=47).decompress if packed else None  # 47: gzip or zlib, as it says

        def __iter__(self) -> Iterator[bytes]:
            size = 0
            for raw in self._stream:
                try:
                    chunk = raw if self._unpack is None else self._unpack(raw, max_body - size + 1)
                except zlib.error as error:
                    raise library.ReadError("the answer is packed and damaged") from error
                size += len(chunk)
                if size > max_body:
                    raise library.ReadError(f"the answer is longer than {max_body} bytes")
                if time.monotonic() > self._deadline:
                    raise library.ReadTimeout("the answer took too long")
                yield chunk

        def close(self) -> None:
            self._stream.close()

    class Transport(library.BaseTransport):  # type: ignore[name-defined,misc]
        def handle_request(self, request: Any) -> Any:
            deadline = time.monotonic() + timeout
            request.headers["Accept-Encoding"] = "identity"
            response = inner.handle_request(request)
            encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
            if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
                response.close()
                raise library.ReadError(f"the answer is packed in a way that was not asked for: {encoding[:40]}")
            headers = [(name, value) for name, value in response.headers.multi_items() if name != "content-encoding"]
            return library.Response(
                response.status_code,
                headers=headers if encoding != "identity" else response.headers,
                stream=Body(response.stream, deadline, packed=encoding != "identity"),
                extensions=response.extensions,
            )

        def close(self) -> None:
            inner.close()

    return Transport()
