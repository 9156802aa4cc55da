"""One task per event loop: started when it is needed, again after it has ended, and in a new loop."""

from __future__ import annotations

import asyncio

from omi.core.watch_task import WatchTask

begun: list[str] = []


async def work() -> None:
    begun.append("begun")
    await asyncio.sleep(0)


def test_it_runs_once_at_a_time_and_again_after_it_has_ended() -> None:
    begun.clear()
    watch = WatchTask("of-a-test", work)

    async def twice() -> None:
        watch.ensure()
        watch.ensure()
        await asyncio.sleep(0.01)
        watch.ensure()
        await asyncio.sleep(0.01)

    asyncio.run(twice())
    assert begun == ["begun", "begun"]
    first = watch.loop
    asyncio.run(twice())  # what ran in a loop that was closed counts no longer
    assert len(begun) == 4
    assert watch.loop is not first
