"""The deployment that the tests of ``ops/`` watch: daphne, qcluster and simulated vendors, as real processes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.servers import Installation
from demo.vendors.server import VendorServer
from omi.accounts import tokens
from tests.acceptance import recordings
from tests.acceptance.wire import App, listen

SPOKEN_SECONDS = 15
VENDORS = {
    "OMI_LIVE": "deepgram",
    "OMI_PRERECORDED": "deepgram",
    "OMI_STRUCTURER": "openai",
    "OMI_EMBEDDER": "openai",
    "OMI_PUSH": "none",
    "OMI_EMOTIONS": "none",
}
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "omi.settings",
    "OMI_LOG_FORMAT": "json",
    "OMI_LOG_LEVEL": "INFO",
    "OMI_REQUESTS_PER_MINUTE": "0",
    "OMI_STRANGERS_PER_MINUTE": "0",
    "OMI_CREATES_PER_MINUTE": "0",
    "OMI_SEARCHES_PER_MINUTE": "0",
    "OMI_VENDOR_BUDGET": "openai=100,deepgram=300",
    "OMI_CALL_PATIENCE_SECONDS": "1",
}


@dataclass(frozen=True)
class Deployment:
    """A running installation whose vendors are simulated."""

    installation: Installation
    vendors: VendorServer

    @property
    def url(self) -> str:
        return self.installation.url

    def app(self, uid: str) -> App:
        return App(self.url, uid, tokens.mint(uid))


def morning(deployment: Deployment) -> None:
    """A user brings a memory, whose first call to the language model fails and is tried again, and searches."""
    app = deployment.app("early")
    deployment.vendors.faults("openai", {"kind": "refuse", "status": 503, "op": "chat"})
    memory = app.create_memory()
    app.wait(f"/v1/memories/{memory['id']}", lambda answer: answer.get("structured", {}).get("title"), 90)
    _search(app)


def noon(deployment: Deployment, talk: bytes) -> None:
    """Another one streams a talk, has it post-processed, searches, and asks for something that is not there."""
    app = deployment.app("lived")
    piece = talk[: SPOKEN_SECONDS * 32_000]
    with listen(app.url, app.token) as socket:
        for start in range(0, len(piece), 3200):
            socket.send(piece[start : start + 3200])
        socket.send('{"type": "finish"}')
        memory_id = str(socket.event("new_memory_created", seconds=90)["memory_id"])
    answer = app.upload(f"/v1/memories/{memory_id}/post-processing", recordings.wav(piece))
    assert answer.status_code < 300, answer.text
    app.events({"memory_post_processing_success", "memory_post_processing_failed"}, seconds=120)
    _search(app)
    assert app.get("/v1/memories/there-is-no-such-memory").status_code == 404


def _search(app: App) -> None:
    assert app.post("/v1/memories/search", json={"query": "the talk", "limit": 3}).status_code == 200


def until(found: Any, seconds: float, why: str) -> Any:
    """Ask ``found()`` until it is true; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := found():
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {why() if callable(why) else why}"
        time.sleep(0.3)


def log_of(folder: Path) -> str:
    """The end of what the servers have said, for a failure's text."""
    return "\n".join((folder / name).read_text(errors="replace")[-1500:] for name in ("web.log", "worker.log"))
