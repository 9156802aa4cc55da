"""``manage.py serve``: both servers come up, and one Ctrl-C takes everything down."""

from __future__ import annotations

import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.process.cluster import Installation, processes_of
from tests.support.processes import free_port

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, quick=True)
    yield made
    made.close()


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/docs", timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def test_ctrl_c_stops_web_and_worker_and_leaves_nothing(installation: Installation) -> None:
    port = free_port()
    serve = installation.start("serve", "--port", str(port), "--no-migrate", "--grace", "10")
    until = time.monotonic() + 40
    while not answers(port) and time.monotonic() < until:
        time.sleep(0.2)
    assert answers(port)
    [run] = installation.start_runs(1)
    assert installation.finished(timeout=40)[run]["outcome"] == "success"
    serve.send_signal(signal.SIGINT)
    assert serve.wait(timeout=30) == 0
    assert processes_of(installation.folder) == {}
    assert not answers(port)


def test_a_serve_that_is_killed_takes_its_servers_along(installation: Installation) -> None:
    """Its servers are told when their parent dies; a supervisor that starts it again finds the port free."""
    serve = installation.start("serve", "--port", str(free_port()), "--no-migrate")
    installation.start_runs(1)
    installation.finished(timeout=60)
    serve.kill()
    until = time.monotonic() + 30
    while processes_of(installation.folder) and time.monotonic() < until:
        time.sleep(0.2)
    assert processes_of(installation.folder) == {}
