"""Offline recordings over the wire, with real servers: three files of two conversations are two memories, whenever the
worker is killed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from demo.material import bundled, pcm
from tests.pipeline.process.cluster import DEAF, Installation
from tests.support.processes import free_port, listens

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PIECE = 100_000
POINTS = ["heard", "written", "stored", "asked", "done"]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("offline"), lease=2.0, more=DEAF)
    yield made
    made.close()


@pytest.fixture(scope="module")
def app(installation: Installation) -> Iterator[httpx.Client]:
    port = free_port()
    installation.start("serve", "--no-migrate", "--port", str(port), "--patience", "20", "--look", "0.3")
    until = time.monotonic() + 60
    while not listens(port):
        assert time.monotonic() < until, installation.log.read_text()[-2000:]
        time.sleep(0.1)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client


def talks() -> list[bytes]:
    """Three recordings of ten seconds each."""
    whole = pcm(bundled().recording)
    return [whole[number * 320_000 : (number + 1) * 320_000] for number in range(3)]


def announced(content: bytes, captured: float) -> dict[str, Any]:
    return {
        "captured_at": (NOON + timedelta(seconds=captured)).isoformat(), "codec": "pcm16", "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip


def send(app: httpx.Client, upload: str, content: bytes) -> None:
    """As a client on a bad line: every second piece breaks off, and it asks where to go on."""
    number = 0
    while (offset := int(app.head(upload).headers["Upload-Offset"])) < len(content):
        piece = content[offset : offset + PIECE]
        headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        number += 1
        if number % 2:
            _broken_off(app, upload, piece, headers)
        assert app.patch(upload, content=piece, headers=headers).status_code == 204


def _broken_off(app: httpx.Client, upload: str, piece: bytes, headers: dict[str, str]) -> None:
    def half() -> Iterator[bytes]:
        yield piece[: len(piece) // 2]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        app.patch(upload, content=half(), headers={**headers, "Content-Length": str(len(piece))})


def test_three_files_of_two_conversations_are_two_memories_though_workers_are_killed(
    installation: Installation, app: httpx.Client
) -> None:
    app.headers["Authorization"] = f"Bearer {token(installation, 'walker')}"
    contents = talks()
    files = [announced(content, at) for content, at in zip(contents, (0, 60, 1000), strict=True)]
    batch = app.post("/v1/sync", json={"device_id": "pendant", "files": files}).json()
    for point in POINTS:
        installation.fault(f"offline-{point}")
    for shown, content in zip(batch["files"], contents, strict=True):
        send(app, shown["upload"], content)
    until = time.monotonic() + 150
    while (shown := app.get(f"/v1/sync/{batch['id']}").json())["state"] != "done":
        assert time.monotonic() < until, (shown, installation.log.read_text()[-3000:])
        installation.python("from memories.offline import working\nanswer = working.tick()")  # the schedule's minute
        time.sleep(0.5)
    assert not list(installation.faults.glob("offline-*")), "every fault happened"
    while any(item["state"] == "making" for item in shown["conversations"]):
        assert time.monotonic() < until, (shown, installation.log.read_text()[-3000:])
        time.sleep(0.3)
        shown = app.get(f"/v1/sync/{batch['id']}").json()
    assert [item["state"] for item in shown["files"]] == ["placed"] * 3
    assert [item["state"] for item in shown["conversations"]] == ["made", "made"]
    memories = {item["id"]: item for item in app.get("/v1/memories").json()}
    assert set(memories) == {item["memory_id"] for item in shown["conversations"]}
    for memory in memories.values():
        books = memory["accounting"].values()
        assert sum(part["failed"] for part in books) == 0.0
        assert memory["transcript_segments"]
    assert sorted(len(memory["accounting"]) for memory in memories.values()) == [1, 2]
    again = app.post("/v1/sync", json={"device_id": "pendant", "files": files}).json()
    assert [item["state"] for item in again["files"]] == ["duplicate"] * 3


def token(installation: Installation, uid: str) -> str:
    code = f"from omi.accounts import tokens\nanswer = tokens.mint({uid!r})"
    return str(installation.python(code))
