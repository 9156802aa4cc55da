"""The app of September 2024 opens a new socket whenever it hears of a new memory: that must not make the next one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from demo.servers import Installation, installation
from demo.vendors.server import VendorServer
from demo.vendors.truth import Library
from omi.accounts import tokens
from tests.acceptance.wire import App
from tests.support.migrated import migrated

ROOT = Path(__file__).resolve().parents[2]
SECONDS, SPEED, CHUNK = 48, 2.0, 3200


@pytest.fixture(scope="module")
def vendors() -> Iterator[VendorServer]:
    recordings = Library([]).load(ROOT / "demo" / "recordings" / "conversation.json")
    with VendorServer(recordings, vendors=("deepgram", "soniox", "speechmatics")) as running:
        yield running


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, vendors: VendorServer) -> Iterator[Installation]:
    settings = {
        **vendors.urls, "DJANGO_SETTINGS_MODULE": "omi.settings", "OMI_LIVE": "deepgram,soniox,speechmatics",
        "OMI_PRERECORDED": "deepgram", "OMI_LOG_LEVEL": "INFO", "OMI_LOG_FORMAT": "json",
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("sockets") / "data"
    with installation(folder, database=migrated(), staff=False, settings=settings) as running:
        yield running


class Phone:
    """Speaks ``pcm`` without a pause; loses the network once; opens a new socket on ``new_memory_created``."""

    def __init__(self, own: Installation, token: str, pcm: bytes, *, lost_at: float, away: float) -> None:
        self.events: list[dict[str, Any]] = []
        self.sockets = 0
        self._url = own.url.replace("http", "ws", 1) + "/listen?codec=pcm16&sample_rate=16000&new_memory_watch=true"
        self._token, self._pcm, self._lost_at, self._away = token, pcm, round(lost_at * 32000), away
        self._again = asyncio.Event()

    async def talk(self) -> None:
        at = 0
        while at < len(self._pcm):
            self._again.clear()
            connection = await connect(self._url, additional_headers={"Authorization": f"Bearer {self._token}"})
            self.sockets += 1
            reading = asyncio.create_task(self._read(connection))
            lost = False
            while at < len(self._pcm) and not self._again.is_set() and not lost:
                await connection.send(self._pcm[at : at + CHUNK])
                at += CHUNK
                lost = self._lost_at <= at < self._lost_at + CHUNK
                await asyncio.sleep(CHUNK / 32000 / SPEED)
            if lost:
                connection.transport.abort()
                await asyncio.sleep(self._away)
            elif at < len(self._pcm):
                await connection.close()
            else:
                await connection.send(json.dumps({"type": "finish"}))
                await asyncio.sleep(6)
                await connection.close()
            await asyncio.wait([reading], timeout=5)

    async def _read(self, connection: ClientConnection) -> None:
        try:
            async for text in connection:
                message = json.loads(text)
                if isinstance(message, dict) and "event_number" in message:
                    self.events.append(message)
                    if message["type"] == "new_memory_created":
                        self._again.set()
        except Exception:  # the network is gone: that is what the test is about
            return


@pytest.mark.timeout(240)
def test_a_drop_in_a_talk_makes_one_memory_and_no_loop(own: Installation, vendors: VendorServer, talk: bytes) -> None:
    """One drop of 2 s in a talk of 64 s made 5 sessions, 5 captures and 5 model calls, and sent 265 s of audio to the
    pre-recorded vendor for the 3.5 s that had failed.

    Two phones talk at once: one is back at once, the other one after its memory was made.
    """
    vendors.reset()
    away = {"phone-back": 2.0, "phone-late": 9.0}
    phones = {
        uid: Phone(own, tokens.mint(uid), talk[: SECONDS * 32000], lost_at=SECONDS / 2, away=seconds)
        for uid, seconds in away.items()
    }

    async def talking() -> None:
        await asyncio.gather(*(phone.talk() for phone in phones.values()))

    asyncio.run(asyncio.wait_for(talking(), 150))
    for uid, phone in phones.items():
        app = App(own.url, uid, tokens.mint(uid))
        memories = app.wait("/v1/memories", lambda found: len(found) == 1 and _whole(found[0]), 60)
        words = " ".join(item["text"] for item in memories[0]["transcript_segments"]).split()
        assert len(words) > 100
        created = [item for item in phone.events if item["type"] == "new_memory_created"]
        assert len(created) <= 1
        assert phone.sockets <= 3
        captures = [item for item in _logged(own, "conversation_finished") if item["uid"] == uid]
        assert len(captures) <= (1 if away[uid] < 5 else 2)
        app.http.close()
    sent = sum(item["body_bytes"] for item in vendors.log("deepgram", "file")) / 32000
    assert sent < 10, "what was heard once is not paid for again"


def _whole(memory: dict[str, Any]) -> bool:
    last = max((item["end"] for item in memory["transcript_segments"]), default=0.0)
    return last > SECONDS - 4 and bool(memory["structured"]["title"])


def _logged(own: Installation, event: str) -> list[dict[str, Any]]:
    lines = (own.folder / "web.log").read_text(errors="replace").splitlines()
    return [item for line in lines if line.startswith("{") and (item := json.loads(line)).get("event") == event]
