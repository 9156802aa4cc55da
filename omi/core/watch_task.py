"""One background task of an event loop, started when it is first needed and again after it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class WatchTask:
    """Runs ``work()`` once per event loop at a time. ``loop`` is the one in which it was started last."""

    def __init__(self, name: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._name, self._work = name, work
        self._task: asyncio.Task[None] | None = None

    def ensure(self) -> None:
        """Start the task unless it runs. In the event loop, as often as one likes."""
        running = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self.loop is not running:
            self.loop, self._task = running, running.create_task(self._work(), name=self._name)
