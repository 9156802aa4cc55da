"""A real qcluster on a database of its own, with the scripted vendors, to be killed in every way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.interpreter import Interpreter
from tests.support.migrated import put_database

ROOT = Path(__file__).resolve().parents[3]

SETTINGS = """
from omi.settings import *
from tests.pipeline.fake_providers import providers
PROVIDERS = providers(PROVIDERS, {prerecorded})
PROVIDERS["documents"] = {{"BACKEND": "tests.pipeline.fakes.SwitchedDocuments"}}
OMI_STORE_RETRY_SECONDS = 0.5
OMI_LEASE_SECONDS = {lease}
OMI_MIN_RECORDING_SECONDS = 1.0
Q_CLUSTER = {{**Q_CLUSTER, "workers": {workers}, "queue_limit": {workers}, "timeout": 60, "retry": 70}}
Q_WORKERS = {workers}
"""
INSTANT = "import tests.pipeline.instant\n"
DEAF = """
PROVIDERS["voices"] = {"BACKEND": "tests.pipeline.fakes.DeafVoices"}
"""


class Installation:
    """A folder with a database; ``python`` runs a line of code in it, ``start`` a long-lived command."""

    def __init__(
        self, folder: Path, *, lease: float = 3.0, workers: int = 2, queue: float | None = None, instant: bool = False,
        quick: bool = False, database: str = "", more: str = "", variables: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        """``database``: the address of a migrated PostgreSQL database; without it a SQLite file.

        ``instant``: nothing is decoded, and speech is found at once. ``quick``: nor is a voice engine started, which
        each worker would for itself.
        ``more``: lines of the settings module, after the others; ``variables``: of the environment.
        """
        self.folder = folder
        self.faults = folder / "faults"
        self.faults.mkdir()
        (folder / "fault_settings.py").write_text(
            SETTINGS.format(prerecorded={"name": "first", "queue": queue}, lease=lease, workers=workers)
            + (INSTANT if instant or quick else "")
            + (DEAF if quick else "")
            + more
        )
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "fault_settings",
            "PYTHONPATH": f"{folder}:{ROOT}",
            "OMI_DATA_DIR": str(folder / "data"),
            "OMI_FAULTS_DIR": str(self.faults),
            "FAKES_LOG": str(folder / "calls.log"),
            "OMI_RUN_MAX_CLAIMS": "5",
            "OMI_LOG_LEVEL": "INFO",
            "OMI_LOG_FORMAT": "json",
            "OPENBLAS_NUM_THREADS": "1",
            **(variables or {}),
        }
        if database:
            self.environment["DATABASE_URL"] = database
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = folder / "cluster.log"
        own = {name: value for name, value in self.environment.items() if name != "OMI_FAULTS_DIR"}
        # PIPELINE_DRIVER: it is none of the installation's own (processes_of)
        self._interpreter = Interpreter({**own, "OMI_LOG_LEVEL": "ERROR", "PIPELINE_DRIVER": "1"})
        if not database:
            put_database(folder / "data")

    def python(self, code: str, *, timeout: float = 60.0) -> Any:
        """Run code in the installation; what it assigns to ``answer`` comes back (JSON)."""
        return self._interpreter.answer(code, timeout=timeout)

    def restart_driver(self) -> None:
        """The interpreter of ``python`` reads the settings anew."""
        self._interpreter.close()

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def serve(self, *, patience: float = 6.0, grace: float = 5.0) -> subprocess.Popen[bytes]:
        """The worker under ``manage.py serve``, as in a real installation; that is checked by ``test_serve``."""
        times = ["--patience", str(patience), "--grace", str(grace), "--look", "0.3"]
        return self.start("serve", "--no-web", "--no-migrate", "--skip-checks", *times)

    def fault(self, point: str, action: str = "kill") -> None:
        (self.faults / f"{point}.{action}").touch()

    def hold(self, vendor: str) -> Held:
        """The next call to ``vendor`` is answered when the test says so."""
        return Held(self.faults, vendor)

    def calls(self) -> list[tuple[str, str]]:
        file = self.folder / "calls.log"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(name, operation) for name, operation, _ in map(json.loads, lines)]

    def start_runs(self, count: int = 1, **options: Any) -> list[int]:
        """``count`` memories with an upload each; the ids of their runs."""
        return list(
            self.python(
                f"""
from tests.pipeline.process.work import begin
answer = begin({count}, {options!r})
"""
            )
        )

    def runs(self) -> dict[int, dict[str, Any]]:
        """Every run with its state; read directly, so that polling is cheap."""
        if database := self.environment.get("DATABASE_URL"):
            import psycopg
            from psycopg.rows import dict_row

            with psycopg.connect(database, row_factory=dict_row) as connection:
                found = connection.execute("SELECT * FROM pipeline_postprocessingrun").fetchall()
            return {row["id"]: dict(row) for row in found}
        import sqlite3

        with sqlite3.connect(f"file:{self.folder / 'data' / 'omi.sqlite3'}?mode=ro", uri=True, timeout=20) as database:
            database.row_factory = sqlite3.Row
            rows = database.execute("SELECT * FROM pipeline_postprocessingrun").fetchall()
        return {row["id"]: dict(row) for row in rows}

    def wait(self, done: Callable[[dict[int, dict[str, Any]]], bool], *, timeout: float = 60.0) -> dict[int, Any]:
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            runs = self.runs()
            if done(runs):
                return runs
            time.sleep(0.1)
        tail = self.log.read_text()[-3000:] if self.log.exists() else ""
        states = [(run["id"], run["state"], run["current_step"]) for run in self.runs().values()]
        raise AssertionError(f"not within {timeout} s: {states}\n{tail}")

    def finished(self, *, timeout: float = 60.0) -> dict[int, Any]:
        return self.wait(lambda runs: all(run["state"] == "finished" for run in runs.values()), timeout=timeout)

    def close(self) -> None:
        self.restart_driver()
        self.stop()

    def stop(self) -> None:
        """Kill what was started, and what that has started; the driver and the database stay. How servers end in good
        order has tests of its own, and takes seconds."""
        for process in self.processes:
            kill_group(process.pid)  # who would start others again
        for process in self.processes:
            process.wait()
        self.processes.clear()
        until = time.monotonic() + 30
        while groups := groups_of(self.folder):
            assert time.monotonic() < until, groups
            for group in groups:
                kill_group(group)
            time.sleep(0.05)


def kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Held:
    """A scripted vendor that takes its time, controlled by files (``fakes.held``)."""

    def __init__(self, folder: Path, vendor: str) -> None:
        self._slow, self._asked = folder / f"{vendor}.slow", folder / f"{vendor}.asked"
        self._answer = folder / f"{vendor}.answer"
        self._answer.unlink(missing_ok=True)
        self._asked.unlink(missing_ok=True)
        self._slow.touch()

    def asked(self, timeout: float = 60.0) -> None:
        """Wait until the vendor was asked."""
        until = time.monotonic() + timeout
        while not self._asked.exists():
            assert time.monotonic() < until, "nobody asked the vendor"
            time.sleep(0.05)

    def answer(self) -> None:
        self._answer.touch()


def processes_of(folder: Path) -> dict[int, int]:
    """Pids (to parents) of living processes that work on ``folder``: found by their environment."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
            if f"OMI_DATA_DIR={folder / 'data'}".encode() not in environment or b"PIPELINE_DRIVER=" in environment:
                continue
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if stat[0] != "Z":
            found[int(entry.name)] = int(stat[1])
    return found


def groups_of(folder: Path) -> set[int]:
    groups = set()
    for child in processes_of(folder):
        try:
            groups.add(os.getpgid(child))
        except ProcessLookupError:
            continue
    return groups - {os.getpgid(0)}


def workers_of(folder: Path, leader: int) -> list[int]:
    """The grandchildren of a qcluster: workers, monitor, pusher, in the order they were started."""
    parents = processes_of(folder)
    sentinels = [pid for pid, parent in parents.items() if parent == leader]
    return sorted(pid for pid, parent in parents.items() if parent in sentinels)
