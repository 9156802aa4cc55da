"""A size and time limit for HTTP clients that an SDK drives: it reads whole bodies, however long and slow they are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

MAX_BODY = 100 * 1024 * 1024


def bounded_client(library: ModuleType, *, timeout: float, max_body: int = MAX_BODY) -> Any:
    """A ``Client`` of ``httpx`` or ``httpx2`` (openai brings its own copy) without redirects or proxies of the
    environment, whose answers end after ``timeout`` seconds or ``max_body`` bytes with that library's own errors."""
    limits = library.Timeout(timeout, connect=min(10.0, timeout))
    inner = library.HTTPTransport(trust_env=False)
    transport = bounded_transport(library, inner, timeout=timeout, max_body=max_body)
    return library.Client(transport=transport, timeout=limits, follow_redirects=False, trust_env=False)


def bounded_transport(library: ModuleType, inner: Any, *, timeout: float, max_body: int = MAX_BODY) -> Any:
    """``inner`` with an end to every answer. httpx's own limit is for each read: a byte a second goes on for ever."""

    class Body(library.SyncByteStream):  # type: ignore[name-defined,misc]
        def __init__(self, stream: Any, deadline: float) -> None:
            self._stream, self._deadline = stream, deadline

        def __iter__(self) -> Iterator[bytes]:
            size = 0
            for chunk in self._stream:
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
            response = inner.handle_request(request)
            return library.Response(
                response.status_code,
                headers=response.headers,
                stream=Body(response.stream, deadline),
                extensions=response.extensions,
            )

        def close(self) -> None:
            inner.close()

    return Transport()
