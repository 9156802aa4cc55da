"""Open connections whose user was erased or signed out by another process: one look every two seconds for all of them.

The process that ends a sign-in tells its own connections at once (``account_erased``, ``signed_out``). The others find
it in the database, here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from channels.db import database_sync_to_async

from omi.accounts.erased import erased_among
from omi.accounts.revocation import signed_out_among
from omi.core.database_threads import THREADS
from omi.core.watch_task import WatchTask

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0

Moments = Mapping[str, datetime]
"""Of some users, when it happened."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of connection. ``users``: whose are open. ``end``: close those that were opened before a user was erased
    (the first argument) or signed out (the second one)."""

    users: Callable[[], Collection[str]]
    end: Callable[[Moments, Moments], Awaitable[None]]


_kinds: list[Kind] = []


def register(kind: Kind) -> None:
    """Have connections of this kind looked after. Once, when the module that keeps them is loaded."""
    _kinds.append(kind)


def watch() -> None:
    """Look from now on, for as long as anybody is connected. In the event loop; as often as one likes."""
    _task.ensure()


async def _watch() -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        users = {uid for kind in _kinds for uid in kind.users()}
        if not users:
            return
        try:
            erased, out = await database_sync_to_async(look, thread_sensitive=False, executor=THREADS)(users)
        except Exception as error:  # the database is away: looked again
            log.warning("ended_sign_ins_unavailable", error=type(error).__name__)
            continue
        if erased or out:
            for kind in _kinds:
                await kind.end(erased, out)


_task = WatchTask("ended-sign-ins", _watch)


def look(users: Collection[str]) -> tuple[dict[str, datetime], dict[str, datetime]]:
    """Ask the database of these users: when each was erased, and when each was signed out everywhere. Blocking."""
    return erased_among(users), signed_out_among(users)
