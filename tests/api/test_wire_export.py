"""What is long leaves the web process as it is read: exports, recordings, samples. Over the real wire."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.api.conftest import create
from tests.support.servers import web_server

ROOT = Path(__file__).resolve().parents[2]
MB = 1024 * 1024
ROOMS = ("omi", "memories", "speakers", "transcription")
LARGE = 100 * MB


@pytest.mark.process
def test_an_export_is_never_in_memory_whole_and_one_that_is_left_frees_its_place(tmp_path: Path) -> None:
    """What an account has was read to its end before the first byte was sent: gigabytes of recordings for one user."""
    with web_server(tmp_path) as server, server.app("eve") as eve:
        memory = create(eve)["id"]
        where = tmp_path / "audio" / "large.wav"
        where.parent.mkdir(exist_ok=True)
        where.write_bytes(os.urandom(MB) * (LARGE // MB))
        row = (
            "INSERT INTO stores_audioobject (name, uid, memory_id, purpose, sha256, size, complete, created_at)"
            f" VALUES ('large.wav', 'eve', '{memory}', 'recording', '', {LARGE}, 1, '2026-11-20 10:00:00')"
        )
        with closing(sqlite3.connect(tmp_path / "omi.sqlite3", timeout=20)) as database, database:
            database.execute(row)
        assert eve.get("/v1/memories").status_code == 200
        before = server.peak()
        with eve.stream("GET", "/v1/users/export") as answer:
            assert answer.status_code == 200
            got = 0
            for piece in answer.iter_raw():
                if not got:
                    assert eve.get("/v1/users/export").status_code == 429
                got += len(piece)
                if got > 20 * MB:
                    break  # and leaves
        until = time.monotonic() + 60
        while True:
            with eve.stream("GET", "/v1/users/export", timeout=120) as again:
                if again.status_code == 200:
                    assert again.headers["Content-Disposition"] == 'attachment; filename="omi-export.zip"'
                    assert sum(len(piece) for piece in again.iter_raw()) > LARGE
                    break
            assert time.monotonic() < until
            time.sleep(0.2)
        with eve.stream("GET", f"/v1/memories/{memory}/recording/audio") as played:
            assert sum(len(piece) for piece in played.iter_raw()) == LARGE
        assert server.peak() - before < 48 * MB


def test_no_answer_is_a_file_that_is_read_whole() -> None:
    """``FileResponse``, and a stream of a plain iterator, are read to their ends before they are sent."""
    wrong = []
    for file in (
        file for room in ("omi", "memories", "speakers", "transcription") for file in (ROOT / room).rglob("*.py")
    ):
        text = file.read_text()
        wrong += [str(file.relative_to(ROOT))] if re.search(r"import .*\bFileResponse\b|\bFileResponse\(", text) else []
    assert wrong == []
