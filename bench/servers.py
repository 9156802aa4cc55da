"""The processes of ``bench.listen``: the server under test on one core, the simulated vendor on the other."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OURS, RELAY, INSIDE = "omi.asgi:application", "bench.relay:application", "bench.inside:application"
VENDOR_SECONDS = 0.3
"""What the simulated vendor takes to a word (live vendors: 0.35 s at the 99th percentile, and much more for some)."""
SERVERS = {
    "daphne": ["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "{app}"],
    "uvicorn": ["-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning", "{app}"],
    "granian": ["-m", "granian", "--interface", "asginl", "--host", "127.0.0.1", "--port", "{port}", "{app}"],
}


@dataclass(frozen=True, slots=True)
class Serving:
    port: int
    pid: int
    vendor_log: Path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def family(pid: int) -> list[int]:
    """A process and all below it: granian serves from a child."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in family(int(child)))]


def cpu_seconds(pid: int) -> float:
    """Exact, in nanoseconds, from the scheduler: the clock ticks of ``stat`` count a process whole that runs when one
    falls, and what a timer wakes does."""
    tasks = (task for member in family(pid) for task in Path(f"/proc/{member}/task").iterdir())
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def megabytes(pid: int) -> float:
    lines = [line for member in family(pid) for line in Path(f"/proc/{member}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def descriptors(pid: int) -> int:
    return sum(len(list(Path(f"/proc/{member}/fd").iterdir())) for member in family(pid))


def threads(pid: int) -> int:
    return sum(len(list(Path(f"/proc/{member}/task").iterdir())) for member in family(pid))


def pin(pid: int, core: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    with contextlib.suppress(OSError):
        os.sched_setaffinity(pid, {cores[core % len(cores)]})


@contextlib.contextmanager
def process(command: Sequence[str], environment: dict[str, str], port: int, core: int, out: Any) -> Iterator[Any]:
    started = subprocess.Popen([sys.executable, *command], env=environment, cwd=ROOT, stdout=out, stderr=out)
    try:
        pin(started.pid, core)
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if started.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command} did not start")
            time.sleep(0.1)
        yield started
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait(5)


@contextlib.contextmanager
def serving(app: str = OURS, server: str = "daphne", codec: str = "pcm16", **extra: str) -> Iterator[Serving]:
    """A migrated data folder, the vendor and the server; nothing of the caller's own settings."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "vendor.log").open("w") as log:
        vendor_port, port = free_port(), free_port()
        packets = "/packets" if codec == "opus" and app == RELAY else ""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OMI_", "DJANGO_"))},
            "OMI_DATA_DIR": folder,
            "OMI_LOG_LEVEL": "ERROR",
            "OMI_LIVE": "deepgram",
            "OMI_VAD_GATE": "false",
            "DEEPGRAM_API_KEY": "bench",
            "DEEPGRAM_URL": f"http://127.0.0.1:{vendor_port}{packets}",
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            "PYTHONPATH": str(ROOT),
            **extra,
        }
        if app != RELAY:
            migrate = [sys.executable, "-m", "django", "migrate", "-v0"]
            subprocess.run(migrate, env=environment, cwd=ROOT, check=True, capture_output=True)
        command = [part.format(port=port, app=app) for part in SERVERS[server]]
        with process(["-m", "bench.vendor", str(vendor_port), str(VENDOR_SECONDS)], environment, vendor_port, 1, log):  # noqa: SIM117  the second needs the first
            with process(command, environment, port, 0, subprocess.DEVNULL) as under_test:
                yield Serving(port, under_test.pid, Path(log.name))
