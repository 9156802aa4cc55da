"""A real web process (daphne), simulated vendors on real sockets, and clients that behave badly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from demo.vendors.server import VendorServer
from demo.vendors.truth import Library, Recording
from omi.accounts.tokens import mint
from omi.management.commands.serve import BACKLOG
from tests.support.interpreter import Interpreter
from tests.support.migrated import put_database

ROOT = Path(__file__).resolve().parents[3]
FULL_SCALE = os.environ.get("OMI_FULL_SCALE") == "1"
"""The faults at their true size (a minute's outage, the gap of 120 s, 1,000 clients) instead of scaled down."""
SECONDS = 79.0 if FULL_SCALE else 20.0
CHUNK = 3200
_JOURNAL = (
    "from transcription import journal; from transcription.journal.reader import seconds_on_disk as s;"
    "print('journal', [(e.meta.state, round(s(e), 2), bool(e.meta.conversation)) for e in journal.sessions()])"
)


def clip() -> Recording:
    """The first seconds of the bundled conversation."""
    [whole] = Library([]).load(ROOT / "demo" / "recordings" / "conversation.json")
    pcm = whole.at(16000)[: round(SECONDS * 16000)]
    return Recording("clip", pcm, 16000, [word for word in whole.words if word.end < SECONDS - 0.2])


RECORDING = clip()
PCM = RECORDING.at(16000).tobytes()
WORDS = [word.word for word in RECORDING.words]


@pytest.fixture(scope="session")
def running() -> Iterator[VendorServer]:
    with VendorServer([RECORDING], vendors=("deepgram", "soniox", "speechmatics")) as server:
        yield server


@pytest.fixture
def vendors(running: VendorServer) -> VendorServer:
    running.reset()
    return running


class Web:
    """One daphne with a data folder of its own. ``environment`` is added to nothing but what the process needs."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        put_database(folder)
        self.environment = {
            "PATH": os.environ["PATH"],
            "OMI_DATA_DIR": str(folder),
            "SECRET_KEY": os.environ["SECRET_KEY"],  # tokens are minted in the tests
            "OMI_LOG_FORMAT": "json",
            "DJANGO_SETTINGS_MODULE": "omi.settings",
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        self._interpreter = Interpreter(self.environment)
        self.log = folder / "web.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.open_files: int | None = None  # the hard limit that the process is started with
        self.port = 0

    def manage(self, *arguments: str) -> str:
        done = self._interpreter.run("manage.py", *arguments)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def printed(self, code: str) -> str:
        """What code prints that only looks at the installation. Other work belongs into a process of its own."""
        return self._interpreter.printed(code)

    def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # As ``manage.py serve`` starts it.
        address = f"tcp:port={self.port}:interface=127.0.0.1:backlog={BACKLOG}"
        command = [sys.executable, "-m", "daphne", "-e", address, "omi.asgi:application"]
        with self.log.open("ab") as log:
            if self.open_files is not None:
                command = ["prlimit", f"--nofile={self.open_files}:{self.open_files}", *command]
            self.process = subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=log, stderr=log)
        until = time.monotonic() + 40
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.1)
        raise TimeoutError(self.log.read_text()[-3000:])

    def send_signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM, wait: float = 20.0) -> int:
        self._interpreter.close()
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(wait)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(5)

    def logged(self, event: str) -> list[dict[str, Any]]:
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                item = json.loads(line)
                if isinstance(item, dict) and item.get("event") == event:
                    found.append(item)
        return found

    def ended(self, count: int, wait: float = 30.0) -> list[dict[str, Any]]:
        """The accounts of the sessions that have ended, once there are ``count``."""
        until = time.monotonic() + wait
        while len(found := self.logged("session_ended")) < count:
            assert time.monotonic() < until, f"{len(found)} of {count} ended\n{self.log.read_text()[-3000:]}"
            time.sleep(0.1)
        return found

    def journal(self) -> str:
        """State, seconds and whether it is attached to a conversation, of every session on disk."""
        return self.printed(_JOURNAL)

    def finished(self, seconds: float, wait: float = 20.0) -> None:
        """Once the one session on disk has been handed over whole. Its journal is closed after its event is told."""
        until = time.monotonic() + wait
        while f"('finished', {seconds}, True)" not in (found := self.journal()):
            assert time.monotonic() < until, found
            time.sleep(0.2)

    def close_breakers(self) -> None:
        with contextlib.closing(sqlite3.connect(self.folder / "omi.sqlite3", timeout=10)) as database:
            opened = "SELECT 1 FROM transcription_vendorbreaker WHERE retry_at > 0"
            was_open = database.execute(opened).fetchone()
            database.execute("DELETE FROM transcription_vendorbreaker")
            database.commit()
        if was_open:
            time.sleep(2.1)  # the web process believes what it read for two seconds

    # --- a client ---------------------------------------------------------------------------------------------------

    def socket(
        self, uid: str = "u1", *, open_timeout: float = 20, ping_interval: float | None = 20, **query: str
    ) -> connect:
        parameters = {"codec": "pcm16", "sample_rate": "16000", "new_memory_watch": "true", **query}
        return connect(
            f"ws://127.0.0.1:{self.port}/listen?{urlencode(parameters)}",
            additional_headers={"Authorization": f"Bearer {mint(uid)}"},
            open_timeout=open_timeout,
            ping_interval=ping_interval,
        )


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, running: VendorServer) -> Iterator[Web]:
    """Two vendors in parallel; one process for all tests of a module."""
    server = Web(tmp_path_factory.mktemp("web"), **running.urls, OMI_LIVE="deepgram,soniox")
    server.start()
    yield server
    server.stop()


class Heard:
    """Reads a socket until it closes."""

    def __init__(self, connection: ClientConnection) -> None:
        self.messages: list[Any] = []
        self.code: int | None = None
        self._connection = connection
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for text in self._connection:
                self.messages.append(json.loads(text))
        except ConnectionClosed:
            pass
        self.code = self._connection.close_code

    @property
    def words(self) -> list[str]:
        return [
            word for item in self.messages if isinstance(item, list) for part in item for word in part["text"].split()
        ]

    def of(self, kind: str) -> list[Any]:
        return [item for item in self.messages if isinstance(item, dict) and item.get("type") == kind]

    def statuses(self) -> list[str]:
        return [item["status"] for item in self.of("service_status")]

    async def until(self, ready: Any, seconds: float = 25.0) -> None:
        end = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < end, self.messages[-10:]
            await asyncio.sleep(0.02)


async def speak(connection: ClientConnection, pcm: bytes = PCM, *, speed: float = 5.0) -> None:
    began = time.monotonic()
    for at in range(0, len(pcm), CHUNK):
        await connection.send(pcm[at : at + CHUNK])
        ahead = at / 32000 / speed - (time.monotonic() - began)
        if ahead > 0:
            await asyncio.sleep(ahead)


def adds_up(account: dict[str, Any], sent: float, *, within: float = 0.05) -> None:
    total = account["transcribed"] + account["silence"] + account["failed"]
    assert total == pytest.approx(account["received"], abs=0.05), account
    assert account["received"] == pytest.approx(sent, abs=within), account
