"""Whose label the words of a memory have when a vendor drops, another one takes over, or the server is killed.

Real processes (daphne, qcluster), simulated vendors on real sockets that tell speakers apart rightly and count them
anew with every connection, the real voice engine: it was here, and in no part of it, that labels broke.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from demo.material import bundled, pcm
from demo.measure import normalise
from demo.servers import Installation, installation
from demo.vendors.server import VendorServer
from demo.vendors.truth import Library
from omi.accounts import tokens
from tests.acceptance import recordings
from tests.acceptance.wire import App
from tests.support.migrated import migrated
from tests.transcription.process.conftest import CHUNK, Heard, speak

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "demo" / "recordings" / "conversation.json"
SPEED = 4.0
SPOKEN = 47.2
"""Seconds of the talk: by then each of the three has spoken several times, and nobody is at it."""
WHOLE = 80.5
DROPS = (15.0, 9.5, 11.0)
"""Seconds of audio after which a connection drops: between two turns, in the middle of one, and between two again."""
USER = "Anna"
Memory = dict[str, Any]


@pytest.fixture(scope="module")
def vendors() -> Iterator[VendorServer]:
    with VendorServer(Library([]).load(SCRIPT), vendors=("deepgram", "soniox")) as running:
        yield running


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, vendors: VendorServer) -> Iterator[Callable[[str], Installation]]:
    """The installation whose live vendors are these, each started once."""
    started: dict[str, tuple[Any, Installation]] = {}

    def of(live: str) -> Installation:
        if live not in started:
            settings = {**vendors.urls, "DJANGO_SETTINGS_MODULE": "omi.settings", "OMI_LIVE": live}
            folder = tmp_path_factory.mktemp("drops") / "data"
            running = installation(folder, database=migrated(), staff=False, settings=settings)
            started[live] = (running, running.__enter__())
        return started[live][1]

    yield of
    for running, _ in started.values():
        running.__exit__(None, None, None)


@pytest.fixture(scope="module")
def audio() -> bytes:
    """16 kHz PCM of the bundled conversation."""
    return pcm(bundled().recording)


@pytest.fixture(scope="module")
def beginning(audio: bytes) -> bytes:
    return audio[: round(SPOKEN * 10) * 3200]


def enrolled(own: Installation, uid: str) -> App:
    """Somebody whose voice the installation knows."""
    app = App(own.url, uid, tokens.mint(uid))
    answer = app.upload("/v3/upload-audio", recordings.wav(pcm(bundled().enrol_user)))
    assert answer.status_code == 200, answer.text
    return app


async def say(app: App, audio: bytes) -> Heard:
    """Stream ``audio`` faster than it was said and wait for the memory."""
    async with connect(_address(app), additional_headers=_authorised(app)) as connection:
        heard = Heard(connection)
        await speak(connection, audio, speed=SPEED)
        await connection.send(json.dumps({"type": "finish"}))
        await heard.until(lambda: heard.of("new_memory_created"), 90)
    await heard.task
    return heard


def _address(app: App) -> str:
    query = "codec=pcm16&sample_rate=16000&language=en&new_memory_watch=true"
    return app.url.replace("http", "ws", 1) + f"/listen?{query}"


def _authorised(app: App) -> dict[str, str]:
    return {"Authorization": f"Bearer {app.token}"}


def memory_of(app: App, seconds: float = SPOKEN) -> Memory:
    """The one memory of this user, once it holds the end of the talk: what a dead process left is made first."""
    last = _script(seconds)[-1][0]
    [memory] = app.wait("/v1/memories", lambda found: len(found) == 1 and last in _words(found[0])[-3:], 90)
    return dict(memory)


def _script(seconds: float) -> list[tuple[str, str]]:
    """Every word that is said until then, and by whom."""
    turns = json.loads(SCRIPT.read_text(encoding="utf-8"))["turns"]
    spoken = [turn for turn in turns if turn["end"] <= seconds]
    return [(word, turn["speaker"]) for turn in spoken for word in normalise(turn["text"])]


def _words(memory: Memory) -> list[str]:
    return [word for item in memory["transcript_segments"] for word in normalise(item["text"])]


def spoken(memory: Memory, seconds: float) -> list[tuple[str, bool, str]]:
    """Of each word that was heard: its label, whether it is the user's, and whose it is. By the words' order, because
    a session that goes on does so by the wall clock, and the test speaks faster than that."""
    script, heard = (
        _script(seconds),
        [
            (word, item["speaker"], item["is_user"])
            for item in memory["transcript_segments"]
            for word in normalise(item["text"])
        ],
    )
    same = SequenceMatcher(None, [word for word, _ in script], [word for word, _, _ in heard], autojunk=False)
    return [
        (*heard[block.b + at][1:], script[block.a + at][1])
        for block in same.get_matching_blocks()
        for at in range(block.size)
    ]


def names_rightly(memory: Memory, seconds: float = SPOKEN) -> None:
    """Labels are right to 95 %, each standing for one speaker; at most 10 % of the user is missed, and nothing of a
    stranger is the user's."""
    words = spoken(memory, seconds)
    assert len(words) > 0.9 * len(_script(seconds))  # what a killed process lost is heard again by an engine that errs
    labels: dict[str, str] = {}
    for (label, name), _ in Counter((label, name) for label, _, name in words).most_common():
        if label not in labels and name not in labels.values():
            labels[label] = name
    assert sum(labels.get(label) == name for label, _, name in words) >= 0.95 * len(words)
    assert not any(is_user for _, is_user, name in words if name != USER)
    own = [is_user for _, is_user, name in words if name == USER]
    assert sum(own) >= 0.9 * len(own)


def given_anew(vendors: VendorServer, vendor: str, connections: int) -> None:
    assert len(vendors.log(vendor, "live")) >= connections, "the fault did not happen"


def test_after_three_drops_of_the_only_vendor(
    servers: Callable[[str], Installation], vendors: VendorServer, beginning: bytes
) -> None:
    vendors.reset()
    vendors.faults("deepgram", *({"kind": "drop", "after_audio": seconds} for seconds in DROPS))
    app = enrolled(servers("deepgram"), "three-drops")
    heard = asyncio.run(asyncio.wait_for(say(app, beginning), 150))
    given_anew(vendors, "deepgram", 4)
    shown = {part["segment_id"]: part["speaker"] for item in heard.messages if isinstance(item, list) for part in item}
    assert len(set(shown.values())) > 3, "the socket shows new labels after a drop: nobody knows yet whose they are"
    names_rightly(memory_of(app))


@pytest.mark.long  # drops of an only vendor, and two vendors of which one goes away, are the tests beside it
def test_after_three_drops_of_the_shown_vendor_of_two(
    servers: Callable[[str], Installation], vendors: VendorServer, beginning: bytes
) -> None:
    vendors.reset()
    vendors.faults("deepgram", *({"kind": "drop", "after_audio": seconds} for seconds in DROPS))
    app = enrolled(servers("deepgram,soniox"), "shown-drops")
    asyncio.run(asyncio.wait_for(say(app, beginning), 150))
    given_anew(vendors, "deepgram", 4)
    given_anew(vendors, "soniox", 1)
    names_rightly(memory_of(app))


def test_after_a_change_of_vendor(
    servers: Callable[[str], Installation], vendors: VendorServer, beginning: bytes
) -> None:
    """The shown vendor is gone for good after a third of the talk; the other one's labels are other ones."""
    vendors.reset()
    vendors.faults("deepgram", {"kind": "drop", "after_audio": 16.0}, {"kind": "refuse", "status": 503, "times": -1})
    app = enrolled(servers("deepgram,soniox"), "vendor-change")
    asyncio.run(asyncio.wait_for(say(app, beginning), 150))
    memory = memory_of(app)
    assert {item["stt_provider"] for item in memory["transcript_segments"]} >= {
        "deepgram_streaming", "soniox_streaming",
    }  # fmt: skip
    names_rightly(memory)


def test_after_the_web_process_was_killed(
    servers: Callable[[str], Installation], vendors: VendorServer, audio: bytes
) -> None:
    """The client comes back to the new process and goes on: another session, another connection, one conversation. The
    whole talk: what is lost with the process is a tenth of it at most.

    The last test of these servers, whose first web process is gone then.
    """
    vendors.reset()
    half = len(audio) // 2 // CHUNK * CHUNK
    own = servers("deepgram")
    app = enrolled(own, "killed")
    asyncio.run(asyncio.wait_for(_killed_at_the_end(own, app, audio[:half]), 100))
    with web_again(own):
        asyncio.run(asyncio.wait_for(say(app, audio[half:]), 150))
        memory = memory_of(app, WHOLE)
    given_anew(vendors, "deepgram", 2)
    names_rightly(memory, WHOLE)


async def _killed_at_the_end(own: Installation, app: App, audio: bytes) -> None:
    async with connect(_address(app), additional_headers=_authorised(app)) as connection:
        heard = Heard(connection)
        await speak(connection, audio, speed=SPEED)
        await heard.until(lambda: len(heard.words) > 80)
        os.kill(own.web_pid, signal.SIGKILL)
        await heard.task


@contextmanager
def web_again(own: Installation) -> Iterator[None]:
    """A new web process where the old one was."""
    command = ["-m", "daphne", "-b", "127.0.0.1", "-p", own.environment["OMI_PORT"], "omi.asgi:application"]
    with (own.folder / "web-again.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=own.environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while not _ready(own.url):
            assert process.poll() is None, (own.folder / "web-again.log").read_text()[-2000:]
            assert time.monotonic() < until, "the new web process is not ready"
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
