"""PostgreSQL restarted under load: runs pause, and all end once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.pipeline.process.cluster import Installation
from tests.support import services
from tests.support.migrated import fill_postgres
from tests.support.processes import Unavailable, free_port

pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]

RUNS = 16


class Server:
    """A PostgreSQL of this test's own, that can be stopped and started again on the same port."""

    def __init__(self, as_user: list[str], program: str, home: Path) -> None:
        self.as_user, self.program, self.home, self.port = as_user, program, home, free_port()
        self.url = f"postgres://omi@127.0.0.1:{self.port}/postgres"
        self.start()

    def start(self) -> None:
        command = [*self.as_user, self.program, "-D", str(self.home), "-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        self.process = subprocess.Popen(
            [*command, "-c", "fsync=off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url):
                return
            time.sleep(0.1)
        raise AssertionError("PostgreSQL does not answer")

    def stop(self) -> None:
        """Fast: open transactions are rolled back, connections are cut."""
        os.kill(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.kill(self.process.pid, signal.SIGQUIT)
            self.process.wait(timeout=10)


@pytest.fixture
def server() -> Iterator[Server]:
    try:
        with services.postgres_home() as place:
            made = Server(*place)
            yield made
            made.stop()
    except Unavailable as problem:
        services.missing("PostgreSQL", problem)


@pytest.fixture
def installation(tmp_path: Path, server: Server) -> Iterator[Installation]:
    folder = tmp_path / "installation"
    folder.mkdir()
    fill_postgres(server.url)
    made = Installation(folder, quick=True, lease=5, database=server.url)
    yield made
    made.close()


def test_a_restart_of_the_database_under_load_loses_nothing(installation: Installation, server: Server) -> None:
    runs = installation.start_runs(RUNS)
    serve = installation.serve(patience=10)
    installation.wait(lambda found: any(run["state"] == "finished" for run in found.values()), timeout=60)
    server.stop()
    time.sleep(2)
    assert serve.poll() is None, "serve waits for its database"
    server.start()
    found = installation.finished(timeout=80)
    assert {found[run]["outcome"] for run in runs} == {"success"}
    told = installation.python("from tests.pipeline.process.work import ends\nanswer = ends()")
    assert told == runs
