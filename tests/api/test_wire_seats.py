"""Work without bound for one user, on the real wire: event streams and decoders."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import create
from tests.support.servers import WebServer
from tests.support.sound import tone

pytestmark = pytest.mark.process


def opened(app: httpx.Client, stack: ExitStack) -> httpx.Response:
    return stack.enter_context(app.stream("GET", "/v1/events"))


def test_a_sixth_stream_is_told_to_wait_and_a_closed_one_makes_room(server: WebServer) -> None:
    """300 streams of one user took 69 % of a core."""
    with server.app("ana") as app, server.app("ben") as other, ExitStack() as stack:
        streams = [opened(app, stack) for _ in range(6)]
        assert [stream.status_code for stream in streams] == [200] * 5 + [429]
        assert int(streams[5].headers["Retry-After"]) > 0
        assert opened(other, stack).status_code == 200
        streams[0].close()
        until = time.monotonic() + 40  # a stream notices at its next ping that nobody reads it any more
        while (again := opened(app, stack)).status_code != 200:
            assert time.monotonic() < until
            again.close()
            time.sleep(0.2)
    with server.app("eve") as app:
        for _ in range(12):  # opened and left, one after the other
            with ExitStack() as stack:
                code = opened(app, stack).status_code
            assert code in (200, 429)
        assert httpx.get(f"{app.base_url}/v1/events").status_code == 401


def decoders(server: WebServer) -> int:
    """Children of the server that decode."""
    found = 0
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        found += b"transcription.audio.decode" in command and parent == server.process.pid
    return found


def test_twenty_uploads_of_one_user_start_two_decoders_at_a_time(server: WebServer) -> None:
    """24 uploads started 24 decoders (823 MB)."""
    with server.app("upl") as app:
        ids = [create(app)["id"] for _ in range(20)]
        sound = tone(12)
        most, over = 0, threading.Event()

        def watch() -> None:
            nonlocal most
            while not over.is_set():
                most = max(most, decoders(server))
                time.sleep(0.01)

        def upload(memory: str) -> httpx.Response:
            return app.post(f"/v1/memories/{memory}/post-processing", files={"file": ("a.wav", sound, "audio/wav")})

        app.timeout = httpx.Timeout(120)
        watching = threading.Thread(target=watch)
        watching.start()
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(upload, ids))
        over.set()
        watching.join(20)
        assert 1 <= most <= 2
        codes = [answer.status_code for answer in answers]
        assert set(codes) <= {200, 429}
        assert codes.count(200) >= 2
        for answer in answers:
            if answer.status_code == 429:
                assert (answer.json()["code"], int(answer.headers["Retry-After"]) > 0) == ("busy", True)
