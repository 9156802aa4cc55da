"""The documents port for async code: the same calls, in threads, so that no event loop ever waits for a store.

The local twin uses the ORM, whose connections belong to threads: it runs where Django runs its own blocking code.
Firestore's client is thread-safe and gets its own pool.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async

from omi.core.providers import one

T = TypeVar("T")
THREADS = 16


async def call(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run a blocking function that talks to the documents store: ``await call(get_memory, uid, id)``."""
    if one("documents").name == "local":
        result: T = await database_sync_to_async(function)(*args, **kwargs)
        return result
    return await sync_to_async(function, thread_sensitive=False, executor=_pool())(*args, **kwargs)


class AsyncDocuments:
    """Gives every method of the document store as a coroutine: ``await AsyncDocuments().get(path)``."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(one("documents"), name)

        async def run(*args: Any, **kwargs: Any) -> Any:
            return await call(method, *args, **kwargs)

        return run


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="documents")
