"""Damage on the disk, over the real wire: the others are listed, and a download that fails is a broken transfer."""

from __future__ import annotations

import sqlite3
import time

import httpx
import pytest

from tests.api.conftest import create
from tests.support.servers import WebServer

pytestmark = pytest.mark.process


def execute(server: WebServer, statement: str, *values: str) -> int:
    connection = sqlite3.connect(server.folder / "omi.sqlite3", timeout=20)
    try:
        with connection:
            return connection.execute(statement, values).rowcount
    finally:
        connection.close()


def test_one_damaged_row_takes_nothing_else_down(server: WebServer) -> None:
    with server.app("ana") as app:
        good, bad = create(app)["id"], create(app)["id"]
        path = f"users/ana/memories/{bad}"
        assert execute(server, "UPDATE stores_localdocument SET body = '{broken' WHERE path = ?", path) == 1
        assert [memory["id"] for memory in app.get("/v1/memories").json()] == [good]
        assert app.post("/v1/memories/search", json={"query": "bread"}).status_code == 200
        assert app.get(f"/v1/memories/{bad}").status_code == 500
        assert f'"path": "{path}"' in server.log.read_text()  # a log line names it
        assert app.get("/v1/users/export").status_code == 200
        assert app.delete(f"/v1/memories/{bad}").status_code == 204
        assert app.get(f"/v1/memories/{bad}").status_code == 404


def test_an_export_that_fails_half_way_is_a_broken_transfer(server: WebServer) -> None:
    """It was a connection that stayed open for ever, and the loop that cleans up behind all requests ended with it."""
    with server.app("ben") as app:
        create(app)
        audio = server.folder / "audio"
        (audio / "0123.wav").mkdir(parents=True)  # a file that cannot be read
        statement = (
            "INSERT INTO stores_audioobject (name, uid, memory_id, purpose, sha256, size, complete, created_at)"
            " VALUES ('0123.wav', 'ben', '', 'recording', '', 10, 1, '2026-11-20 10:00:00')"
        )
        assert execute(server, statement) == 1
        for _ in range(2):  # the second one, too: what cleans up behind requests is still there
            began = time.monotonic()
            with pytest.raises(httpx.TransportError):
                app.get("/v1/users/export")
            assert time.monotonic() - began < 15
        assert app.get("/v1/memories").status_code == 200
