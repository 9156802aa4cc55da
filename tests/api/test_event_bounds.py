"""Events: so many streams and no more, a page at a time, and a memory only where it was asked for and is not large."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient
from django.utils import timezone

from memories.repository import memories as repository
from memories.shapes import Memory, Structured
from memories.user_events import log, watch
from omi.accounts import ended, revocation, tokens
from omi.accounts.models import ErasedAccount, SignOut, uid_digest
from transcription.segments import Segment

pytestmark = pytest.mark.django_db(transaction=True)


def make(uid: str, identity: str, *, segments: int = 1, text: str = "Hello there.") -> None:
    from datetime import UTC, datetime

    spoken = [Segment(id=f"{identity}-{n}", text=text, start=float(n), end=n + 0.5) for n in range(segments)]
    memory = Memory(
        id=identity, created_at=datetime.now(UTC), structured=Structured(title="A talk"), transcript_segments=spoken
    )
    repository.create_memory(uid, memory)
    log.append(uid, log.MEMORY_CREATED, {"memory_id": identity})


def test_an_event_holds_its_memory_where_it_was_asked_for() -> None:
    make("ana", "m")
    [event] = log.after("ana", 0)
    assert event["memory"]["transcript_segments"][0]["text"] == "Hello there."
    [event] = log.after("ana", 0, memories=False)
    assert "memory" not in event
    assert event["memory_id"] == "m"
    assert event["summary"]["segments"] == 1
    assert len(json.dumps(event)) < 1000


def test_a_large_memory_is_told_without_its_segments() -> None:
    """Five sockets that replayed memories of 9 MB and read nothing held 1 GB."""
    make("ana", "m", segments=3000, text="word " * 20)
    [event] = log.after("ana", 0)
    assert event["memory_shortened"] is True
    assert event["memory"]["structured"]["title"] == "A talk"
    assert event["memory"]["transcript_segments"] == []
    assert len(json.dumps(event)) < 10_000


@pytest.mark.parametrize("memories", [True, False])
def test_deleted_memories_hide_no_event_behind_them(memories: bool) -> None:
    """A page of nothing but deleted ones looked like the end of the log."""
    for number in range(25):
        make("ana", f"m{number}")
        if number < 24:
            repository.delete_memory("ana", f"m{number}")
    found = log.after("ana", 0, 5, memories=memories)
    assert [event["memory_id"] for event in found] == ["m24"]


async def opened(uid: str) -> Any:
    return await AsyncClient().get("/v1/events?after=0", headers={"Authorization": f"Bearer {tokens.mint(uid)}"})


def test_a_user_has_so_many_streams_and_the_process_as_well(settings: Any) -> None:
    settings.OMI_STREAMS_PER_USER, settings.OMI_STREAMS = 2, 3

    async def work() -> list[int]:
        held = [await opened("ana"), await opened("ana")]
        codes = [(await opened("ana")).status_code]
        held.append(await opened("ben"))
        refused = await opened("cleo")
        codes.append(refused.status_code)
        assert refused.headers["Retry-After"]
        for answer in held:
            answer.close()
        again = await opened("ana")
        codes.append(again.status_code)
        again.close()
        return codes

    assert asyncio.run(work()) == [429, 429, 200]
    assert watch.count() == 0


def test_a_stream_that_is_cut_off_frees_its_place(settings: Any) -> None:
    settings.OMI_STREAMS_PER_USER = 1

    async def work() -> None:
        for _ in range(3):
            answer = await opened("ana")
            assert answer.status_code == 200
            frames = aiter(answer.streaming_content)
            assert await anext(frames) == b": connected\n\n"
            reading = asyncio.create_task(anext(frames))
            await asyncio.sleep(0.05)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(work())
    assert watch.count() == 0


@pytest.mark.parametrize("how", ["signed out here", "signed out elsewhere", "erased elsewhere"])
def test_streams_of_a_user_who_was_signed_out_or_erased_end_and_no_others(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(ended, "LOOK_SECONDS", 0.1)

    async def work() -> None:
        streams = [await opened("ana"), await opened("ben")]
        frames = [aiter(stream.streaming_content) for stream in streams]
        for item in frames:
            assert await anext(item) == b": connected\n\n"
        ana, ben = [asyncio.ensure_future(anext(item)) for item in frames]
        await asyncio.sleep(0)
        if how == "signed out here":
            monkeypatch.setattr(ended, "LOOK_SECONDS", 1000.0)
            await sync_to_async(revocation.sign_out)("ana", reason="a lost phone")
        elif how == "signed out elsewhere":
            await SignOut.objects.acreate(uid="ana", at=timezone.now())
        else:
            await ErasedAccount.objects.acreate(digest=uid_digest("ana"), erased_at=timezone.now())
        done, _ = await asyncio.wait([ana, ben], return_when=asyncio.FIRST_COMPLETED, timeout=30)
        assert done == {ana}
        with pytest.raises(StopAsyncIteration):
            await ana
        ben.cancel()
        await asyncio.gather(ben, return_exceptions=True)
        for stream in streams:
            stream.close()

    asyncio.run(work())
    assert watch.count() == 0


def test_many_streams_are_one_look_at_the_log(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three hundred took 69 % of a core."""
    settings.OMI_STREAMS_PER_USER = settings.OMI_STREAMS = 500
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.2)
    looks: list[int] = []
    read: list[str] = []
    latest, after = watch.latest_among, log.after

    def counted(uids: list[str]) -> Any:
        looks.append(len(uids))
        return latest(uids)

    def noted(uid: str, *args: Any, **more: Any) -> Any:
        read.append(uid)
        return after(uid, *args, **more)

    monkeypatch.setattr(watch, "latest_among", counted)
    monkeypatch.setattr(log, "after", noted)

    async def work() -> None:
        from memories.api.event_stream import follow

        streams = [follow(f"u{number}", 0) for number in range(50)]
        for stream in streams:
            assert await anext(stream) == ": connected\n\n"
        waiting = [asyncio.create_task(anext(stream)) for stream in streams]
        while len(looks) < 3:
            await asyncio.sleep(0.05)
        assert len(read) == 50  # each at its beginning, none for the clock
        await sync_to_async(log.append)("u7", log.MEMORY_CREATING, {"memory_id": "m"})
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        assert [task.result().split("\n")[0] for task in done] == ["id: 1"]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for stream in streams:
            await stream.aclose()

    asyncio.run(work())
    assert set(looks) == {50}


@pytest.mark.parametrize("how", ["signed out", "erased"])
def test_a_stream_ends_when_another_process_ends_its_users_sign_in(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither ``manage.py signout`` nor an erasure elsewhere knows the open streams; a token lasts for an hour."""
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.1)

    def end() -> None:
        if how == "signed out":
            SignOut.objects.create(uid="ana", at=timezone.now())
        else:
            ErasedAccount.objects.create(digest=uid_digest("ana"), erased_at=timezone.now())

    async def work() -> None:
        answer, other = await opened("ana"), await opened("ben")
        frames, others = aiter(answer.streaming_content), aiter(other.streaming_content)
        assert await anext(frames) == await anext(others) == b": connected\n\n"
        await sync_to_async(end)()
        async with asyncio.timeout(30):
            assert [frame async for frame in frames] == []
        assert watch.count() == 1
        other.close()

    asyncio.run(work())
