"""One look at the event logs for all sockets of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.transcription.fakes import MemorySink
from tests.transcription.live_session import run
from tests.transcription.wire import Wire, fresh
from transcription.listen import event_watch

pytestmark = pytest.mark.django_db
__all__ = ["fresh"]


class CountingSink(MemorySink):
    """Notes whose logs each look asks for, and whose are read."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[set[str]] = []
        self.read: list[str] = []
        self.newest: dict[str, int] = {}

    async def latest_events(self, uids: Collection[str]) -> dict[str, int]:
        self._check()
        self.looks.append(set(uids))
        return {uid: self.newest[uid] for uid in uids if uid in self.newest}

    async def events_after(self, uid: str, number: int, limit: int = 100, **more: Any) -> list[dict[str, Any]]:
        self.read.append(uid)
        if number >= self.newest.get(uid, 0):
            return []
        return [{"type": "memory_updated", "event_number": self.newest[uid]}]


def test_many_sockets_are_one_look_and_only_those_with_news_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(event_watch, "SELDOM", 0.0)
    sink = CountingSink()
    users = {f"u{number}" for number in range(20)}

    async def work() -> None:
        async with AsyncExitStack() as stack:
            wires = {uid: await stack.enter_async_context(Wire(sink=sink, uid=uid)) for uid in users}
            sink.looks.clear()
            await wires["u0"].until(lambda: len(sink.looks) >= 3)
            assert sink.looks == [users] * len(sink.looks)
            assert sink.read == []
            sink.newest["u7"] = 4
            await wires["u7"].until(lambda: wires["u7"].of("memory_updated"))
            assert set(sink.read) == {"u7"}
            sink.down = True  # a store that is away costs nobody the events
            await asyncio.sleep(0.2)
            sink.newest["u8"] = 1
            sink.down = False
            await wires["u8"].until(lambda: wires["u8"].of("memory_updated"))
        assert not event_watch._feeds

    run(work)


def test_a_log_for_which_nothing_is_expected_is_looked_at_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_watch, "LOOK_SECONDS", 0.02)
    sink = CountingSink()

    async def work() -> None:
        async with Wire(sink=sink, uid="waits") as waits, Wire(sink=sink, uid="idle"):
            assert waits.consumer._feed is not None
            waits.consumer._feed.expect(10.0)
            sink.looks.clear()
            await waits.until(lambda: len(sink.looks) >= 5)
            assert sink.looks == [{"waits"}] * len(sink.looks)

    run(work)
