"""Web and worker hosts that share PostgreSQL, Redis and Cloud Storage, behind nginx; each can be rolled, killed, cut
off from the network and given a wrong clock."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
from django.conf import settings

from tests.support.migrated import fill_postgres
from tests.support.processes import Unavailable, free_port, running
from tests.support.services import postgres_home
from tests.topology.network import Network, members, network

ROOT = Path(__file__).resolve().parents[2]
TRUTH = ROOT / "demo" / "recordings" / "conversation.json"
PORT = 8000
FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)


@dataclass
class Host:
    """One host: a folder, an address, the command that it runs, and the processes of it that live."""

    name: str
    folder: Path
    address: str
    port: int
    command: list[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    faked: bool = False
    """Whether its clock can be set wrong. The library for that more than doubles the host's processor time."""

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def clock(self) -> Path:
        return self.folder / "clock"

    def start(self) -> None:
        environment = self.environment | (self._faking() if self.faked else {})
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    def _faking(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(self.clock), "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": str(Path(__file__).parent / "mistimed"),
        }  # fmt: skip

    def ready(self) -> bool:
        if not self.port:
            return "started" in self.log.read_text(errors="replace") or bool(self.process and not self.process.poll())
        try:
            return httpx.get(f"http://{self.address}:{self.port}/healthz", timeout=60).status_code == 200
        except httpx.HTTPError:
            return False

    def members(self) -> list[int]:
        return members(f"TOPOLOGY={self.environment['TOPOLOGY']}")

    def kill(self) -> None:
        """Every process of the host at once, as a machine that loses power."""
        for _ in range(3):
            for pid in self.members():
                _signal(pid, signal.SIGKILL)
            time.sleep(0.1)
        self._reap()

    def stop(self, patience: float = 60.0) -> None:
        """As ``systemctl stop``: its service gets SIGTERM, and what is left after ``patience`` is killed."""
        if self.process is not None:
            _signal(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                print(f"*** {self.name} did not stop within {patience:.0f} s")
        self.kill()

    def wrong_clock(self, seconds: float) -> None:
        self.clock.write_text(f"{seconds:+.0f}\n")

    def _reap(self) -> None:
        if self.process is not None:
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


@dataclass
class Topology:
    """All of it. ``url`` is nginx's."""

    url: str
    network: Network
    environment: dict[str, str]
    hosts: dict[str, Host] = field(default_factory=dict)
    database_url: str = ""
    folder: Path = Path()

    def manage(self, host: str, *arguments: str) -> str:
        """A command of the project, on a host."""
        there = self.hosts[host]
        done = subprocess.run(
            [*self.network.prefix(host), sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=there.environment, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.database_url.replace("postgres://", "postgresql://")) as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[call-overload,no-any-return]


@contextmanager
def topology(folder: Path, *, webs: int, workers: int, clocks: bool = False) -> Iterator[Topology]:
    """Start everything; stop everything. Raises Unavailable."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        raise Unavailable("nginx is not installed (apt-get install nginx-light; `make packages` does so where it may)")
    if clocks and FAKETIME is None:
        raise Unavailable("libfaketime is not installed (apt-get install faketime)")
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        net = stack.enter_context(network())
        database_url = stack.enter_context(_postgres(net.base))
        environment = {**_shared(stack, folder, net), "DATABASE_URL": database_url}
        entry = free_port()
        made = Topology(f"http://127.0.0.1:{entry}", net, environment, database_url=database_url, folder=folder)
        names = [*(f"web-{number}" for number in range(1, webs + 1)),
                 *(f"worker-{number}" for number in range(1, workers + 1))]  # fmt: skip
        for number, name in enumerate(names):
            made.hosts[name] = _host(made, folder / name, name, number)
        fill_postgres(database_url)
        stack.enter_context(_nginx(nginx, folder, entry, [host for host in made.hosts.values() if host.port]))
        try:
            for host in made.hosts.values():
                host.start()
            until = time.monotonic() + 300
            while not all(host.ready() for host in made.hosts.values()):
                if time.monotonic() > until:
                    logs = {host.name: host.log.read_text()[-1500:] for host in made.hosts.values()}
                    raise Unavailable(f"the hosts did not start: {logs}")
                time.sleep(0.2)
            yield made
        finally:
            for host in made.hosts.values():
                host.kill()


def _host(made: Topology, folder: Path, name: str, number: int) -> Host:
    folder.mkdir(parents=True)
    address = made.network.add(name, number + 1)
    port = 0 if name.startswith("worker") else PORT if made.network.separate else free_port()
    served = ["--no-web"] if not port else ["--no-worker", "--host", address, "--port", str(port)]
    return Host(
        name, folder, address, port,
        [*made.network.prefix(name), sys.executable, "manage.py", "serve", *served, "--no-migrate", "--grace", "30"],
        {**_bare(), **made.environment, "OMI_DATA_DIR": str(folder), "OMI_HOST_ID": name,
         "ALLOWED_HOSTS": "*", "TOPOLOGY": f"{uuid.uuid4().hex}"},
    )  # fmt: skip


def _bare() -> dict[str, str]:
    dropped = ("OMI_", "DJANGO_", "DATABASE_", "REDIS_", "GOOGLE_", "FIRE")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def _shared(stack: ExitStack, folder: Path, net: Network) -> dict[str, str]:
    """Redis, Cloud Storage, the vendors: started, and what a host must know of them."""
    redis, gcs, vendors = free_port(), free_port(), free_port()
    stack.enter_context(
        running(
            [_program("redis-server"), "--port", str(redis), "--bind", net.base, "--protected-mode", "no", "--save", "",
             "--dir", str(folder)],
            ready=lambda: _open(net.base, redis), log=folder / "redis.log",
        )
    )  # fmt: skip
    emulator = Path(sys.executable).with_name("gcp-storage-emulator")
    stack.enter_context(
        running(
            [str(emulator), "start", f"--host={net.base}", f"--port={gcs}", "--in-memory",
             "--default-bucket=omi-audio"],
            ready=lambda: _open(net.base, gcs), log=folder / "gcs.log",
        )
    )  # fmt: skip
    said = folder / "vendors.log"
    stack.enter_context(
        running(
            [sys.executable, "-m", "demo.vendors", "--port", str(vendors), "--truth", str(TRUTH)],
            ready=lambda: said.exists() and said.read_text().startswith("{"), log=said, env={"PYTHONPATH": str(ROOT)},
        )
    )  # fmt: skip
    urls: Mapping[str, str] = json.loads(said.read_text().splitlines()[0])
    if net.separate:
        stack.enter_context(
            running(
                [sys.executable, "-m", "tests.topology.relay", net.base, str(vendors)],
                ready=lambda: _open(net.base, vendors), log=folder / "relay.log", env={"PYTHONPATH": str(ROOT)},
            )
        )  # fmt: skip
    return {
        **{name: value.replace("127.0.0.1", net.base) for name, value in urls.items() if name != "SIM_URL"},
        "SECRET_KEY": settings.SECRET_KEY,  # of this test run, so that tokens can be minted here
        "REDIS_URL": f"redis://{net.base}:{redis}/0",
        "STORAGE_EMULATOR_HOST": f"http://{net.base}:{gcs}",
        "GOOGLE_CLOUD_PROJECT": "demo-omi-topology",
        "OMI_HOSTS": "4",
        "OMI_AUTH": "dev",
        "OMI_AUDIO": "gcs",
        "OMI_AUDIO_BUCKET": "omi-audio",
        "OMI_LIVE": "deepgram",
        "OMI_PRERECORDED": "deepgram,soniox",
        "OMI_STRUCTURER": "local",
        "OMI_EMBEDDER": "local",
        "OMI_EMOTIONS": "none",
        "OMI_WORKERS": "1",
        "OMI_REQUESTS_PER_MINUTE": "0",
        "OMI_STRANGERS_PER_MINUTE": "0",
        "OMI_CREATES_PER_MINUTE": "0",
        "OMI_LOG_LEVEL": "INFO",
        "OMI_LOG_FORMAT": "json",
        "DJANGO_SETTINGS_MODULE": "omi.settings",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


@contextmanager
def _postgres(base: str) -> Iterator[str]:
    """A cluster that the hosts' networks reach, too."""
    with postgres_home() as (as_user, server, home):
        with (home / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {base}/24 trust\n")
        port = free_port()
        listen = base if base == "127.0.0.1" else f"127.0.0.1,{base}"
        options = ["-h", listen, "-p", str(port), "-k", "", "-c", "fsync=off", "-c", "max_connections=300"]
        with running(
            [*as_user, server, "-D", str(home), *options],
            ready=lambda: _says_ready(port), log=home.parent / "log", stop=signal.SIGINT,
        ):  # fmt: skip
            with psycopg.connect(f"postgresql://omi@127.0.0.1:{port}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE omi")
            yield f"postgres://omi@{base}:{port}/omi"


def _says_ready(port: int) -> bool:
    command = ["pg_isready", "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0


@contextmanager
def _nginx(program: str, folder: Path, port: int, webs: Sequence[Host]) -> Iterator[None]:
    servers = "\n".join(f"    server {host.address}:{host.port} max_fails=1 fail_timeout=3s;" for host in webs)
    conf = folder / "nginx.conf"
    conf.write_text(
        f"""
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
worker_processes 1;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_max_body_size 600m;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-f;
  uwsgi_temp_path {folder}/nginx-u;
  scgi_temp_path {folder}/nginx-s;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  upstream omi {{
{servers}
  }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://omi;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_connect_timeout 2s;
      proxy_read_timeout 120s;
      proxy_send_timeout 60s;
      proxy_buffering off;
      proxy_next_upstream error timeout;
    }}
  }}
}}
"""
    )
    ready = lambda: _open("127.0.0.1", port)  # noqa: E731
    with running([program, "-c", str(conf), "-p", str(folder)], ready=ready, log=folder / "nginx.out"):
        yield


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed; `make packages` does so where it may")
    return found


def _open(address: str, port: int) -> bool:
    import socket

    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False
