"""A data folder is destroyed, and everything is there again; those who were erased meanwhile are not."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from memories.pipeline.models import ClusterBeat
from tests.support import heard_once
from tests.support.interpreter import Interpreter
from tests.support.migrated import ROOT, put_database
from tests.support.processes import running
from tests.support.servers import web_server

pytestmark = pytest.mark.process


class Host:
    """An installation's commands, each in a process of its own."""

    def __init__(self, data: Path, heard: Path, **settings: str) -> None:
        self.data = data
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OMI_", "DJANGO_"))}
        inherited.pop("SECRET_KEY", None)
        own = {"DJANGO_SETTINGS_MODULE": "omi.settings", "OMI_DATA_DIR": str(data), "PYTHONPATH": str(ROOT)}
        own[heard_once.FOLDER] = str(heard)  # of the voice that backup_life enrols
        self.environment = {**inherited, **own, "OMI_LOG_LEVEL": "ERROR", **settings}
        self._python = Interpreter(self.environment)

    def destroy(self) -> None:
        """The data folder, and whatever a process remembers of it."""
        self.close()
        shutil.rmtree(self.data)

    def close(self) -> None:
        self._python.close()

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        done = self._python.run(*map(str, words))
        if "restore" in words:
            self.close()  # what was read of the folder before, its secret key, is of another one
        return done

    def manage(self, *words: str | Path) -> str:
        done = self.run("manage.py", *words)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def life(self, *words: str) -> dict[str, Any]:
        done = self.run("-m", "tests.ops.backup_life", *words)
        assert done.returncode == 0, done.stderr[-2000:]
        seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return seen


@pytest.fixture
def installed(tmp_path: Path, voices_heard_once: Path) -> Iterator[Callable[..., Host]]:
    """Makes an installation in ``tmp_path``, with these settings."""
    made: list[Host] = []

    def make(**settings: str) -> Host:
        made.append(Host(tmp_path / "data", voices_heard_once, **settings))
        return made[-1]

    yield make
    for host in made:
        host.close()


@pytest.mark.timeout(300)
def test_what_was_there_is_there_again_and_the_erased_are_not(tmp_path: Path, installed: Callable[..., Host]) -> None:
    host = installed()
    put_database(host.data)
    host.manage("staffuser")
    before = host.life("live")
    assert len(before["ana"]["memories"]) == 2
    assert before["ana"]["voices"]
    assert before["ana"]["journals"]
    assert before["ana"]["search"][0] == "harbour"
    kept = {name: (host.data / name).read_bytes() for name in ("secret.key", "staff.txt")}
    with web_server(host.data, database=False) as server:  # a running server is backed up
        assert server.app("ana").get("/v1/memories").status_code == 200
        told = host.manage("backup", tmp_path)
    archive = next(tmp_path.glob("omi-backup-*.zip"))
    assert str(archive) in told
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []

    host.life("erase", "ben", "regret")
    host.manage("backup", tmp_path / "receipts.json", "--receipts")
    written = (tmp_path / "receipts.json").read_text()
    assert not any(word in written for word in ("ben", "ana", "regret"))

    host.destroy()
    told = host.manage("restore", archive)
    assert "erase_user" in told
    assert host.life("look") == before
    for name, content in kept.items():
        assert (host.data / name).read_bytes() == content
        assert stat.S_IMODE((host.data / name).stat().st_mode) == 0o600

    refused = host.run("manage.py", "restore", archive)
    assert "is not empty" in refused.stderr
    host.destroy()
    told = host.manage("restore", archive, "--receipts", tmp_path / "receipts.json")
    assert "1 accounts and 1 memories were erased after the backup" in told
    after = host.life("look")
    assert set(after) == {"ana"}
    assert set(after["ana"]["memories"]) == {"harbour"}
    assert after["ana"]["voices"] == before["ana"]["voices"]
    assert "nothing of this user is left" in host.manage("erase_user", "ben", "--verify")

    # What the replaced installation remembers is known without a file.
    told = host.manage("restore", archive, "--force")
    assert set(host.life("look")) == {"ana"}
    assert [path.name for path in host.data.iterdir() if path.name.startswith(".")] == []


@pytest.mark.timeout(180)
def test_a_folder_that_a_worker_uses_is_not_replaced(tmp_path: Path, installed: Callable[..., Host]) -> None:
    host = installed()
    file = put_database(host.data)
    archive = tmp_path / "backup.zip"
    host.manage("backup", archive)

    def works() -> bool:
        with closing(sqlite3.connect(file)) as opened:
            return bool(opened.execute(f"SELECT COUNT(*) FROM {ClusterBeat._meta.db_table}").fetchone()[0])

    worker = [sys.executable, str(ROOT / "manage.py"), "serve", "--no-web", "--no-migrate"]
    with running(worker, ready=works, log=tmp_path / "worker.log", env=host.environment):
        refused = host.run("manage.py", "restore", archive, "--force")
    assert "A server still uses this data folder" in refused.stderr
    assert refused.returncode
    host.manage("restore", archive, "--force")


@pytest.mark.timeout(300)
def test_postgresql_comes_back_too(
    new_postgres: Callable[[str], str], tmp_path: Path, installed: Callable[..., Host]
) -> None:
    if shutil.which("pg_dump") is None:
        pytest.skip("pg_dump cannot be had here: apt-get install postgresql-client")
    host = installed(DATABASE_URL=new_postgres("backed_up"))
    before = host.life("live")
    archive = tmp_path / "backup.zip"
    host.manage("backup", archive)
    with zipfile.ZipFile(archive) as packed:
        assert "database.pgdump" in packed.namelist()
    host.life("erase", "ben", "regret")
    host.destroy()
    refused = host.run("manage.py", "restore", archive)
    assert "PostgreSQL database is not empty" in refused.stderr
    host.manage("restore", archive, "--force")
    after = host.life("look")
    assert set(after) == {"ana"}
    assert after["ana"]["voices"] == before["ana"]["voices"]
    assert set(after["ana"]["memories"]) == {"harbour"}
