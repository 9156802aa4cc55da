"""The client's side of the wire: REST calls and the socket, with bounded waits and no opinion about the answers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

Json = dict[str, Any]


class App:
    """The app of one user."""

    def __init__(self, url: str, uid: str, token: str) -> None:
        self.url, self.uid, self.token = url, uid, token
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60.0)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.http.get(path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.http.post(path, **more)

    def patch(self, path: str, **more: Any) -> httpx.Response:
        return self.http.patch(path, **more)

    def delete(self, path: str, **more: Any) -> httpx.Response:
        return self.http.delete(path, **more)

    def create_memory(self, **fields: Any) -> Json:
        answer = self.post("/v1/memories?trigger_integrations=false", json=creation(**fields))
        assert answer.status_code == 200, answer.text
        memory: Json = answer.json()["memory"]
        return memory

    def upload(self, path: str, content: Any, name: str = "talk.wav") -> httpx.Response:
        return self.post(path, files={"file": (name, content, "audio/wav")})

    def events(self, kinds: set[str], *, after: int = 0, seconds: float = 60.0) -> Json:
        """The first event of ``kinds`` after that number, by server-sent events. Fails after ``seconds``."""
        until = time.monotonic() + seconds
        params = {"after": after}
        with self.http.stream("GET", "/v1/events", params=params, timeout=httpx.Timeout(10, read=seconds)) as stream:
            assert stream.status_code == 200
            for line in stream.iter_lines():
                if line.startswith("data:") and (event := json.loads(line[5:]))["type"] in kinds:
                    found: Json = event
                    return found
                assert time.monotonic() < until, f"none of {kinds} came within {seconds:g} s"
        raise AssertionError("the event stream ended")

    def wait(self, path: str, done: Any, seconds: float = 60.0) -> Json:
        """GET ``path`` until ``done(answer)``."""
        until = time.monotonic() + seconds
        while True:
            answer: Json = self.get(path).json()
            if done(answer):
                return answer
            assert time.monotonic() < until, f"{path} is still {answer}"
            time.sleep(0.3)


def creation(
    texts: Iterable[str] = ("We meet on Monday at the station.", "Good, I bring the bread."), **more: Any
) -> Json:
    """A body of ``POST /v1/memories``."""
    began = datetime.now(UTC) - timedelta(hours=1)
    return {
        "started_at": began.isoformat(),
        "finished_at": (began + timedelta(seconds=20)).isoformat(),
        "language": "en",
        "transcript_segments": [
            {"text": text, "speaker": f"SPEAKER_{n % 2:02d}", "is_user": n % 2 == 0, "start": 8 * n, "end": 8 * n + 7}
            for n, text in enumerate(texts)
        ],
        **more,
    }


class Socket:
    """An open ``/listen``. ``messages`` holds all that came, parsed."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.messages: list[Any] = []

    def send(self, data: bytes | str) -> None:
        self.connection.send(data)

    def receive(self, seconds: float = 10.0) -> Any:
        text = self.connection.recv(timeout=seconds)
        assert isinstance(text, str)  # the server sends JSON only
        self.messages.append(json.loads(text))
        return self.messages[-1]

    def until(self, wanted: Any, seconds: float = 20.0) -> Any:
        """The first message for which ``wanted(message)`` holds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                message = self.receive(left)
            except TimeoutError:
                break
            if wanted(message):
                return message
        raise AssertionError(f"not within {seconds:g} s; there were {self.messages}")

    def status(self, name: str, seconds: float = 20.0) -> Json:
        found: Json = self.until(lambda m: isinstance(m, dict) and m.get("status") == name, seconds)
        return found

    def event(self, *kinds: str, seconds: float = 60.0) -> Json:
        found: Json = self.until(lambda m: isinstance(m, dict) and m.get("type") in kinds, seconds)
        return found

    def closed(self, seconds: float = 10.0) -> int:
        """Read until the server closes; its close code."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                self.receive(left)
            except ConnectionClosed as error:
                if error.rcvd is None:
                    raise AssertionError("the connection was cut without a close frame") from error
                return error.rcvd.code
            except TimeoutError:
                break
        raise AssertionError(f"still open after {seconds:g} s; there were {self.messages}")

    def alive(self) -> None:
        """The server answers: what was sent before was read and did no harm."""
        self.send(json.dumps({"type": "ping"}))
        self.until(lambda m: isinstance(m, dict) and m.get("type") == "pong", 20)


@contextmanager
def listen(url: str, token: str | None, path: str = "/listen", **query: Any) -> Any:
    """Open the socket as the app does; ``token=None`` sends no header."""
    asked = {"language": "en", "sample_rate": 16000, "codec": "pcm16", "new_memory_watch": "true", **query}
    address = url.replace("http", "ws", 1) + path + "?" + str(httpx.QueryParams(asked))
    headers = {} if token is None else {"Authorization": token if " " in token else f"Bearer {token}"}
    with connect(address, additional_headers=headers, max_size=None, open_timeout=20, close_timeout=5) as connection:
        yield Socket(connection)
