"""Every call that leaves the house ends by its deadline, against a server that takes all and gives nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from emotions.base import EmotionRequest
from emotions.hume import HumeEmotions
from memories.structuring.base import StructureRequest
from memories.structuring.openai import OpenAIStructurer
from memories.structuring.openai_embedder import OpenAIEmbedder
from omi.core.errors import ErrorKind, ProviderError
from omi.push.fcm import FcmPush
from omi.stores.vectors.base import Vector
from omi.stores.vectors.pinecone import PineconeVectors
from tests.support.vendor_fixtures import Talk, talk
from transcription.segments import Segment
from transcription.vendors.batch import webhook
from transcription.vendors.batch.base import PrerecordedRequest, Ticket
from transcription.vendors.batch.deepgram import DeepgramPrerecorded
from transcription.vendors.batch.fal_whisperx import FalWhisperX
from transcription.vendors.batch.soniox import SonioxPrerecorded

__all__ = ["talk"]
DEADLINE = 1.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"


class BlackHole:
    """Accepts every connection and reads all that comes. ``trickle``: answers, one blank in 50 ms, for ever."""

    def __init__(self, *, trickle: bool) -> None:
        self.trickle, self.taken, self._over = trickle, 0, threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.taken += 1
            threading.Thread(target=self._hold, args=(connection,), daemon=True).start()

    def _hold(self, connection: socket.socket) -> None:
        connection.settimeout(0.05)
        began = False
        with connection:
            while not self._over.is_set():
                try:
                    if connection.recv(1 << 20) == b"":
                        return
                    continue
                except TimeoutError:
                    pass
                except OSError:
                    return
                if not self.trickle:
                    continue
                try:
                    connection.sendall(b" " if began else ANSWER)
                    began = True
                except OSError:
                    return

    def close(self) -> None:
        self._over.set()
        self._listener.close()


@pytest.fixture(params=["silent", "trickling"])
def hole(request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlackHole]:
    made = BlackHole(trickle=request.param == "trickling")
    for name in ("FAL_QUEUE_URL", "DEEPGRAM_URL", "SONIOX_API_URL", "HUME_URL", "FCM_URL", "PINECONE_INDEX_HOST"):
        setattr(settings, name, made.url)
    settings.OPENAI_BASE_URL = f"{made.url}/v1"
    settings.FAL_JWKS_URL = f"{made.url}/keys"
    for name in ("FAL_KEY", "DEEPGRAM_API_KEY", "SONIOX_API_KEY", "HUME_API_KEY", "OPENAI_API_KEY", "PINECONE_API_KEY"):
        setattr(settings, name, "key")
    settings.GOOGLE_CLOUD_PROJECT = "demo"
    monkeypatch.setattr("transcription.vendors.batch.fal_whisperx.POLL_SECONDS", DEADLINE)
    monkeypatch.setattr("transcription.vendors.batch.soniox.CALL_SECONDS", DEADLINE)
    monkeypatch.setattr(webhook, "KEYS_TIMEOUT", DEADLINE)
    monkeypatch.setattr("omi.push.fcm.TIMEOUT", DEADLINE)
    yield made
    made.close()


def everything(talk: Talk, hole: BlackHole) -> dict[str, Callable[[], Any]]:
    """Each call of a run, and of what follows it, to somebody else's server."""
    recording = PrerecordedRequest(path=talk.path, seconds=talk.seconds, language="en", timeout=DEADLINE)
    urls = dict.fromkeys(("status_url", "response_url", "cancel_url"), f"{hole.url}/job")
    fal_job = Ticket(vendor="fal_whisperx", id="1", state={**urls, "seconds": 1.0})
    soniox_job = Ticket(vendor="soniox", id="1", state={"file_id": "2"})
    said = [Segment(text="We repair the kitchen.", start=0, end=1)]
    pinecone = PineconeVectors(timeout=DEADLINE)

    def pushed() -> None:
        failure = FcmPush().send(["token"], "title", "text", {}).failure
        assert failure is not None
        raise failure

    return {
        "fal submit": lambda: FalWhisperX().submit(recording),
        "fal poll": lambda: FalWhisperX().poll(fal_job),
        "fal cancel": lambda: FalWhisperX().cancel(fal_job),
        "fal keys": webhook._fetch,
        "deepgram": lambda: DeepgramPrerecorded().submit(recording),
        "soniox submit": lambda: SonioxPrerecorded().submit(recording),
        "soniox poll": lambda: SonioxPrerecorded().poll(soniox_job),
        "soniox forget": lambda: SonioxPrerecorded().forget(soniox_job),
        "openai chat": lambda: OpenAIStructurer().structure(
            StructureRequest(said, datetime.now(UTC), timeout=DEADLINE)
        ),
        "openai embeddings": lambda: OpenAIEmbedder(timeout=DEADLINE).embed(["text"]),
        "hume": lambda: HumeEmotions().measure(EmotionRequest(talk.path, talk.seconds, [], timeout=DEADLINE)),
        "push": pushed,
        "pinecone upsert": lambda: pinecone.upsert([Vector("a", [0.1] * 8, {})], namespace="ns1"),
        "pinecone delete": lambda: pinecone.delete(["a"], namespace="ns1"),
    }


def test_no_call_waits_longer_than_its_deadline(talk: Talk, hole: BlackHole) -> None:
    """A fault of the original: no time limit on most calls; one that hung blocked the memory for ever."""
    calls = everything(talk, hole)

    def timed(call: Callable[[], Any]) -> tuple[float, Exception | None]:
        began = time.monotonic()
        try:
            call()
        except ProviderError as error:
            return time.monotonic() - began, error
        except Exception as error:
            return time.monotonic() - began, error
        return time.monotonic() - began, None

    with ThreadPoolExecutor(len(calls)) as pool:
        results = dict(zip(calls, pool.map(timed, calls.values()), strict=True))
    for name, (seconds, error) in results.items():
        assert isinstance(error, ProviderError), (name, error)
        assert error.kind is ErrorKind.TRANSIENT, (name, error)
        assert seconds < 15 * DEADLINE, (name, seconds)  # the machine may be busy; without a limit it is for ever
    assert hole.taken >= len(calls), "each of them was really connected"
