"""Session fixtures of real services. A test that asks for one which cannot be had is skipped, and says why.

``postgres_url``, ``redis_url``, ``firestore_host``, ``gcs_url``. With TESTS_REQUIRE_SERVICES=1 what is
missing fails instead: a green run there has really used them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import Unavailable, free_port, listens, running

FIRESTORE_JAR = "/usr/lib/google-cloud-sdk/platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"
FIRESTORE_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    try:
        with postgres_cluster() as url:
            yield url
    except Unavailable as problem:
        missing("PostgreSQL", problem)


@contextmanager
def postgres_home() -> Iterator[tuple[list[str], str, Path]]:
    """An empty cluster: the words that run a command as its owner, the server program, the data folder.

    initdb refuses to run as root: then as user postgres. Not in pytest's own temporary folder: every pytest that starts
    on the machine closes that to other users again, and a running server dies of it.
    """
    initdb, server = _postgres_programs()
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="omi-postgres-"))
    home = folder / "data"
    try:
        if user:
            folder.chmod(0o755)
            home.mkdir()
            shutil.chown(home, user)
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        _do([*as_user, initdb, "-D", str(home), "-U", "omi", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"])
        yield as_user, server, home
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres_cluster() -> Iterator[str]:
    """``postgres://…/omi`` of an empty cluster of our own, until the block ends."""
    with postgres_home() as (as_user, server, home), _postgres(as_user, server, home) as url:
        yield url


@contextmanager
def _postgres(as_user: list[str], server: str, home: Path) -> Iterator[str]:
    port = free_port()
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "fsync=off", "-c", "max_connections=60"]
    with running(
        [*as_user, server, "-D", str(home), *options],
        ready=lambda: _answers(["pg_isready", "-h", "127.0.0.1", "-p", str(port)]),
        log=home.parent / "log",
        stop=signal.SIGINT,
    ):
        _do(["createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "omi", "omi"])
        yield f"postgres://omi@127.0.0.1:{port}/omi"


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        port = free_port()
        with redis_server(tmp_path_factory.mktemp("redis"), port):
            yield f"redis://127.0.0.1:{port}/0"
    except Unavailable as problem:
        missing("Redis", problem)


@contextmanager
def redis_server(folder: Path, port: int) -> Iterator[None]:
    """Until the block ends. It keeps nothing."""
    program = _program("redis-server", "apt-get install redis-server")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with running(command, ready=lambda: listens(port), log=folder / "log"):
        yield


@pytest.fixture(scope="session")
def firestore_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of the official emulator (the JAR of Google's Cloud CLI; runs on Java 11 or later)."""
    try:
        port = free_port()
        with firestore_emulator(tmp_path_factory.mktemp("firestore"), port):
            yield f"127.0.0.1:{port}"
    except Unavailable as problem:
        missing("the Firestore emulator", problem)


@contextmanager
def firestore_emulator(folder: Path, port: int, imported: Path | None = None) -> Iterator[None]:
    """The emulator until the block ends. It keeps everything in memory: ``imported`` is an export to begin with."""
    java = _program("java", "apt-get install default-jre-headless")
    jar = os.environ.get("TESTS_FIRESTORE_JAR", FIRESTORE_JAR)  # FIRE… is taken out of the environment
    if not Path(jar).exists():
        raise Unavailable("the emulator's JAR is not here: install google-cloud-cli-firestore-emulator")
    command = [java, "-Duser.language=en", "-Xmx512m", "-cp", jar, FIRESTORE_MAIN, "start"]
    with running(
        [*command, "--host=127.0.0.1", f"--port={port}", *([f"--import-data={imported}"] if imported else [])],
        ready=lambda: _says_ok(f"http://127.0.0.1:{port}/"),
        log=folder / "log",
    ):
        yield


@pytest.fixture(scope="session")
def gcs_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address (with scheme) of gcp-storage-emulator, with a bucket ``omi-audio``. It checks no signature or expiry."""
    folder = tmp_path_factory.mktemp("gcs")
    try:
        program = Path(sys.executable).with_name("gcp-storage-emulator")
        if not program.exists():
            raise Unavailable("pip install -r requirements-dev.txt")
        port = free_port()
        command = [str(program), "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]
        with running(
            [*command, "--default-bucket=omi-audio"],
            ready=lambda: listens(port),
            log=folder / "log",
        ):
            yield f"http://127.0.0.1:{port}"
    except Unavailable as problem:
        missing("the Cloud Storage emulator", problem)


def missing(what: str, problem: Unavailable) -> None:
    """Skip, or fail where TESTS_REQUIRE_SERVICES=1."""
    reason = f"{what} cannot be had here: {problem}"
    if os.environ.get("TESTS_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _program(name: str, fix: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed ({fix}; `make packages` does so where it may)")
    return found


def _postgres_programs() -> tuple[str, str]:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if Path(folder, "initdb").exists() and Path(folder, "postgres").exists():
            return f"{folder}/initdb", f"{folder}/postgres"
    return _program("initdb", "apt-get install postgresql"), _program("postgres", "apt-get install postgresql")


def _unprivileged() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError as error:
        raise Unavailable("PostgreSQL does not run as root and there is no user postgres") from error


def _do(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise Unavailable(f"{command[0]}: {done.stderr[-800:]}")


def _answers(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0


def _says_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.read(10).strip() == b"Ok")
    except OSError:
        return False
