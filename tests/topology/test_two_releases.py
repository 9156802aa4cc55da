"""A rolling deploy half way: web and worker of the last release beside today's, on one database that the release made
and today's code has migrated.

The release is a commit (``ops/released-commit.txt``) whose tree is taken out of git's history; both run with the
packages of this environment. Where the history is not there, as in a shallow clone, the tests are skipped and say so,
or fail with TESTS_REQUIRE_SERVICES=1.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import pydoc
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from django.conf import settings

from demo.vendors.truth import Library
from tests.support.interpreter import Interpreter
from tests.support.processes import Unavailable, free_port, running
from tests.support.services import missing
from tests.support.sound import wav
from tests.topology.account import plain
from tests.topology.clients import Phone, Talker
from tests.topology.deployment import ROOT, TRUTH

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]
SECONDS = 6.0
"""Of the bundled conversation."""
SIDES = ("old", "new")
EVERY_PAIR = {(web, worker) for web in SIDES for worker in SIDES}
MIGRATE = """
from django.core.management import call_command
call_command("migrate", skip_checks=True, verbosity=0)
"""
HOUSEKEEPING = """
from memories.pipeline import tasks
answer = tasks.housekeeping()["unknown"]
"""
PATIENCE = 90.0
"""Seconds for whatever is waited for: a busy machine is no fault."""


def released() -> str:
    lines = (ROOT / "ops" / "released-commit.txt").read_text().splitlines()
    return next(line for line in lines if line and line[0] != "#")


def tree(commit: str, folder: Path) -> Path:
    """The files of ``commit`` in ``folder``. Raises Unavailable."""
    asked = ["git", "-C", str(ROOT), "archive", "--format=tar", commit]
    try:
        done = subprocess.run(asked, capture_output=True, timeout=60, check=False)
    except OSError as error:
        raise Unavailable(f"git is not installed ({error})") from None
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip()[-300:]
        raise Unavailable(f"this checkout does not have it (a shallow clone, or no clone): {told}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder)  # of our own commit; Python before 3.11.4 knows no filter
    return folder


@dataclass
class Deployment:
    """The database and, of each release, its code, the address of its web and the environment of its host."""

    database: str
    trees: dict[str, Path]
    urls: dict[str, str] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    _interpreter: Interpreter | None = None

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(query, values).fetchall()

    def today(self, code: str) -> Any:
        """Run code on today's host; what it assigns to ``answer``."""
        if self._interpreter is None:
            self._interpreter = Interpreter({**os.environ, **self.environments["new"]})
        return self._interpreter.answer(code, timeout=PATIENCE)

    def close(self) -> None:
        if self._interpreter is not None:
            self._interpreter.close()

    def until(self, done: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := done()):
            assert time.monotonic() < deadline, f"{what}: not within {PATIENCE:.0f} s"
            time.sleep(0.2)
        return found

    def all_ended(self, count: int = 0) -> None:
        """Wait until ``count`` runs are there and every one has ended: well."""
        table = "pipeline_postprocessingrun"

        def ended() -> bool:
            [(left, there)] = self.rows(f"SELECT count(*) FILTER (WHERE state <> 'finished'), count(*) FROM {table}")
            return bool(left == 0 and there >= count)

        self.until(ended, "all runs have ended")
        runs = self.rows(f"SELECT id, uid, kind, outcome, message_id FROM {table} ORDER BY id")
        assert [run for run in runs if run[3] != "success"] == []

    def worked(self) -> set[tuple[str, str]]:
        """Through whose web a run was started, and whose worker has worked on it: pairs of releases."""
        found = self.rows(
            """SELECT DISTINCT split_part(run.uid, '-', 1), split_part(attempt.worker, ':', 1)
            FROM pipeline_stepattempt attempt JOIN pipeline_runstep step ON step.id = attempt.step_id
            JOIN pipeline_postprocessingrun run ON run.id = step.run_id"""
        )
        return {(str(web), str(worker)) for web, worker in found}


@contextmanager
def deployment(folder: Path, trees: dict[str, Path], database: str) -> Iterator[Deployment]:
    """Each release is a host: a data folder, a web server and a worker under ``manage.py serve``. One that does not
    start is a failure."""
    made, hosts = Deployment(database, trees), {}
    with ExitStack() as stack:
        said = folder / "vendors.log"
        simulators = [sys.executable, "-m", "demo.vendors", "--truth", str(TRUTH)]
        answers = lambda: said.exists() and said.read_text().startswith("{")  # noqa: E731
        stack.enter_context(running(simulators, ready=answers, log=said, env={"PYTHONPATH": str(ROOT)}))
        vendors = json.loads(said.read_text().splitlines()[0])
        stack.callback(made.close)
        for side, code in trees.items():
            port, data = free_port(), folder / side
            data.mkdir()
            made.urls[side] = f"http://127.0.0.1:{port}"
            made.environments[side] = {
                **{name: url for name, url in vendors.items() if name != "SIM_URL"},
                "DATABASE_URL": database, "SECRET_KEY": settings.SECRET_KEY, "PYTHONPATH": str(code),
                "DJANGO_SETTINGS_MODULE": "omi.settings", "OMI_DATA_DIR": str(data), "OMI_HOST_ID": side,
                "OMI_HOSTS": "2", "OMI_AUDIO": "local", "OMI_AUDIO_FOLDER": str(folder / "audio"), "OMI_AUTH": "dev",
                "OMI_LIVE": "deepgram", "OMI_PRERECORDED": "deepgram", "OMI_STRUCTURER": "local",
                "OMI_EMBEDDER": "local", "OMI_EMOTIONS": "none", "OMI_WORKERS": "1", "OMI_LOG_FORMAT": "json",
                "OMI_MIN_RECORDING_SECONDS": "4", "OMI_RETRIES_PER_DAY": "1000", "OMI_RUNS_PER_DAY": "1000",
            }  # fmt: skip
            # The release makes the database and runs; under it today's code migrates, and is started then.
            if side == "new":
                made.today(MIGRATE)
            serve = [sys.executable, str(code / "manage.py"), "serve", "--port", str(port), "--grace", "5"]
            hosts[side] = stack.enter_context(
                running(
                    [*serve, *(["--no-migrate"] if side == "new" else [])], ready=lambda: True,
                    log=folder / f"{side}.log", env=made.environments[side],
                )
            )  # fmt: skip
            if side == "old":
                _up(made, side, hosts[side], folder)
        _up(made, "new", hosts["new"], folder)
        yield made
        for host in hosts.values():
            host.terminate()  # both end at the same time


def _up(made: Deployment, side: str, host: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not _healthy(made.urls[side]):
        if host.poll() is not None or time.monotonic() > deadline:
            told = (folder / f"{side}.log").read_text(errors="replace")[-3000:]
            raise AssertionError(f"the {side} release does not start: {told}")
        time.sleep(0.2)


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("releases")
    try:
        trees = {"old": tree(released(), folder / "released"), "new": ROOT}
    except Unavailable as problem:
        missing("the last release in git's history", problem)
    server, name = request.getfixturevalue("postgres_url").rsplit("/", 1)[0], "two_releases"
    with psycopg.connect(f"{server}/omi", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with deployment(folder, trees, f"{server}/{name}") as made:
        yield made


def words(memory: dict[str, Any]) -> str:
    return " ".join(segment["text"] for segment in memory["transcript_segments"])


def test_both_releases_work_on_one_database(both: Deployment) -> None:
    [whole] = Library([]).load(TRUTH)
    pcm = whole.at(16000)[: round(SECONDS * 16000)].tobytes()
    spoken = [item.word for item in whole.words if item.end < SECONDS - 1.0]
    talkers = {side: Talker(both.urls[side], f"{side}-talker", pcm) for side in SIDES}
    own = {side: Phone(both.urls[side], talkers[side].uid) for side in SIDES}
    through_other = {side: Phone(both.urls[other], talkers[side].uid) for side, other in (SIDES, SIDES[::-1])}

    async def talk() -> None:
        await asyncio.gather(*(talker.talk() for talker in talkers.values()))

    asyncio.run(talk())
    both.all_ended(2)  # each journal was read by whichever worker took the run
    memories = {}
    for side in SIDES:
        [listed] = through_other[side].call("GET", "/v1/memories")
        memories[side] = f"/v1/memories/{listed['id']}"
        assert plain(words(listed))[: len(spoken)] == [text for word in spoken for text in plain(word)]
        assert listed["structured"]["title"]

    # What only today's code knows is written into both, so that the released worker has to leave it alone.
    written = {}
    for side, phone in ((side, Phone(both.urls["new"], talkers[side].uid)) for side in SIDES):
        label = phone.call("POST", "/v1/labels", json={"kind": "folder", "name": "Kept"})
        phone.call("PATCH", f"{memories[side]}/labels", json={"folder_id": label["id"]})
        phone.call("POST", f"{memories[side]}/comments", json={"text": "Kept, too"})
        written[side] = phone.call("GET", memories[side])["edits"]["folder_id"]
        assert written[side] == label["id"]

    for side in SIDES:
        file = {"file": ("talk.wav", wav(pcm), "audio/wav")}
        own[side].call("POST", f"{memories[side]}/post-processing", files=file)
    both.all_ended(4)
    count = 4
    while both.worked() != EVERY_PAIR:
        assert count < 100, both.worked()
        for side in SIDES:
            own[side].call("POST", f"{memories[side]}/reprocess")
        count += 2
        both.all_ended(count)
    for side in SIDES:
        found = through_other[side].call("GET", memories[side])
        assert words(found) == words(own[side].call("GET", memories[side]))
        assert found["active_transcript"] != "deepgram_streaming"
        kept = Phone(both.urls["new"], talkers[side].uid)
        assert kept.call("GET", memories[side])["edits"]["folder_id"] == written[side]
        assert [item["text"] for item in kept.call("GET", f"{memories[side]}/comments")] == ["Kept, too"]


def test_what_the_released_worker_does_not_know_is_not_lost(both: Deployment) -> None:
    """A user has a recap made again, and the released worker, which has no recaps, takes the task."""
    phone = Phone(both.urls["new"], "new-talker")
    [memory] = phone.call("GET", "/v1/memories")
    recap = f"/v1/recaps/day/{memory['created_at'][:10]}"
    unknown = "SELECT count(*) FROM django_q_task WHERE func = 'memories.recaps.making.make' AND NOT success"
    due = "SELECT count(*) FROM recaps_recap WHERE due"

    def empty() -> bool:
        return both.rows("SELECT count(*) FROM django_q_ormq WHERE lock < now()") == [(0,)]

    def taken() -> bool:
        phone.call("POST", f"{recap}/regenerate")
        both.until(empty, "the queue is empty")
        return both.rows(unknown) != [(0,)]

    both.until(taken, "the released worker takes the task")

    def made() -> bool:
        both.today(HOUSEKEEPING)  # of the schedule: every five minutes, on whichever worker
        both.until(empty, "the queue is empty")
        return both.rows(due) == both.rows(unknown) == [(0,)]

    both.until(made, "the recap is made")


def test_every_task_of_the_release_has_a_function_today(both: Deployment) -> None:
    """What its web servers have put into the queue, and its schedules, come to today's workers when it is gone."""
    code = both.trees["old"]
    named = re.compile(r'"((?:memories|omi|transcription|speakers)(?:\.[a-z_]+)+)\.([a-z_]+)"')
    names = {str(name) for (name,) in both.rows("SELECT func FROM django_q_schedule")}
    for package in ("memories", "omi", "transcription", "speakers"):
        for path in (code / package).rglob("*.py"):
            for module, function in named.findall(path.read_text()):
                file = code / f"{module.replace('.', '/')}.py"
                if file.exists() and f"\ndef {function}(" in file.read_text():
                    names.add(f"{module}.{function}")
    assert names >= {"memories.pipeline.tasks.wake", "memories.upkeep.index_words_of"}
    assert {name for name in names if not callable(pydoc.locate(name))} == set()


def test_a_checkout_without_the_release_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="shallow clone"):
        tree("0" * 40, tmp_path)
