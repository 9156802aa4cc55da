"""A file that is sent under ASGI is never in memory as a whole."""

from __future__ import annotations

import asyncio
import io
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler

from memories.privacy import account
from omi.accounts.tokens import mint

ROOT = Path(__file__).resolve().parents[2]


class Long(io.BytesIO):
    """A file that says how far it was read."""

    far = 0

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        self.far = max(self.far, self.tell())
        return piece


@pytest.mark.django_db(transaction=True)
def test_an_export_is_read_no_faster_than_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    file = Long(bytes(range(256)) * 40_000)
    monkeypatch.setattr(account, "export", lambda uid: file)
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": "/v1/users/export", "query_string": b"",
        "headers": [(b"authorization", f"Bearer {mint('ana')}".encode()), (b"host", b"testserver")],
        "client": ("127.0.0.1", 1), "server": ("testserver", 80), "scheme": "http",
    }  # fmt: skip

    asked = iter([{"type": "http.request", "body": b""}])
    read_by_then: list[int] = []
    sent = bytearray()

    async def receive() -> Any:
        message = next(asked, None)
        return message if message is not None else await asyncio.Event().wait()  # the client stays

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        elif piece := message.get("body"):
            read_by_then.append(file.far)
            sent.extend(piece)

    asyncio.run(asyncio.wait_for(ASGIHandler()(scope, receive, send), 60))
    assert read_by_then[0] == ASGIHandler.chunk_size, "the first piece is sent before the next one is read"
    assert len(sent) == 256 * 40_000


def test_every_file_that_is_sent_is_sent_so() -> None:
    rooms = ("omi", "memories", "transcription", "speakers", "emotions")
    found = {
        str(file.relative_to(ROOT))
        for room in rooms
        for file in (ROOT / room).rglob("*.py")
        if re.search(r"\bFileResponse\(", file.read_text())
    }
    assert found <= {"omi/core/streamed.py"}
