"""Copies of recordings are gone with the process that worked on them, also where it was killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omi.accounts import tokens
from omi.core import workspace
from omi.stores import uploads
from tests.support.servers import web_server

ROOT = Path(__file__).parents[2]
HOLDING = """
import django, os, sys, time
django.setup()
from omi.core import workspace
with workspace.temporary("voice-") as folder:
    open(os.path.join(folder, "voice.wav"), "wb").write(b"somebody's voice")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def own_folder(settings: Any, tmp_path: Path) -> None:
    settings.OMI_DATA_DIR = tmp_path
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "uploads")
    (tmp_path / "uploads").mkdir()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    environment = {**os.environ, "OMI_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "omi.settings"}
    process = subprocess.Popen([sys.executable, "-c", HOLDING], cwd=ROOT, env=environment, stdout=-1, text=True)
    assert process.stdout is not None
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.wait(20)


def test_a_killed_process_leaves_no_recording_behind(holder: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = holder
    assert (folder / "voice.wav").exists()
    assert workspace.sweep() == 0  # it lives
    assert (folder / "voice.wav").exists()
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    assert (folder / "voice.wav").exists()  # which nobody of the killed could remove
    assert uploads.sweep() == 1
    assert not folder.exists()


def test_the_next_process_sweeps_before_it_begins(holder: tuple[subprocess.Popen[str], Path], tmp_path: Path) -> None:
    process, folder = holder
    process.kill()
    process.wait(20)
    mine = workspace.root()
    assert not folder.exists()
    assert mine.is_dir()
    assert mine.stat().st_mode & 0o077 == 0
    assert sorted(entry.name for entry in (tmp_path / "work").iterdir()) == [mine.name, f"{mine.name}.lock"]


def test_a_folder_is_gone_when_its_work_is_done() -> None:
    with workspace.temporary("run-1-") as folder:
        assert Path(folder).parent == workspace.root()
    assert not Path(folder).exists()


def test_no_recording_lies_in_a_folder_that_nobody_sweeps() -> None:
    """Copies of recordings go into the workspace; what else is temporary has no name on the disk."""
    allowed = {
        "omi/core/workspace.py": "makes them",
        "omi/core/secret_key.py": "no recording",
        "omi/stores/audio.py": "has no name",
        "memories/backup/archive.py": "an archive, renamed into place beside its target",
        "memories/backup/making.py": "a copy of the database, beside the archive",
        "memories/backup/restoring.py": "in the data folder, renamed into place (docs/backup.md)",
        "speakers/cohort.py": "averages of voices, renamed into place",
        "transcription/engines/whisper/files.py": "a model's weights, renamed into place",
        "transcription/engines/batch.py": "has no name",
        "transcription/management/commands/listen.py": "a developer's own recording",
    }
    found = {
        str(file.relative_to(ROOT))
        for room in ("omi", "memories", "transcription", "speakers", "emotions")
        for file in (ROOT / room).rglob("*.py")
        if "tempfile." in file.read_text()
    }
    assert found - allowed.keys() - {"memories/pipeline/engine/context.py"} == set()
    assert "tempfile.mk" not in (ROOT / "memories/pipeline/engine/context.py").read_text()


@pytest.mark.process
def test_an_upload_that_was_cut_by_kill_9_is_gone_after_the_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Over the wire: the file is on disk as an upload, and the process is killed before it is through."""
    folder = tmp_path_factory.mktemp("killed")
    with web_server(folder) as server:
        head = (
            "POST /v3/upload-audio HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {tokens.mint('ana')}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            "Content-Length: 400000\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire:
            wire.sendall(head.encode() + b"x" * 200_000)
            time.sleep(0.2)
            root = next((folder / "work").glob("*.lock")).with_suffix("")
            (root / "upload-1").mkdir()
            (root / "upload-1" / "voice.wav").write_bytes(b"somebody's voice")  # as a decoder's copy lies there
            server.process.kill()
            server.process.wait(20)
    assert list(folder.rglob("voice.wav"))
    code = "import django; django.setup(); from omi.core import workspace; workspace.root()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=server.environment, check=True, timeout=60)
    assert list(folder.rglob("voice.wav")) == []
    assert [file for file in folder.rglob("*") if file.is_file() and b"xxxxxxxx" in file.read_bytes()] == []
