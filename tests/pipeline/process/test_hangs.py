"""Workers, stores and supervisors that hang: each is seen, nobody else waits for it, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipeline.process.cluster import Installation, processes_of
from tests.pipeline.process.test_serve import answers
from tests.support.processes import free_port

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, quick=True, lease=3.0)
    yield made
    made.close()


def until(done: Callable[[], object], seconds: float = 60.0) -> float:
    began = time.monotonic()
    while not done():
        assert time.monotonic() < began + seconds, f"not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - began


def web_of(folder: Path) -> list[int]:
    return [pid for pid in processes_of(folder) if b"daphne" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_workers_that_all_hang_are_ended_at_their_leases_and_every_run_ends(installation: Installation) -> None:
    """Under the interpreter's lock nothing in the process can stop it, and no heartbeat is sent."""
    installation.serve(patience=60)
    installation.fault("assess-before", "hang")
    installation.fault("structure-before", "hang")
    runs = installation.start_runs(4)
    found = installation.finished(timeout=90)
    assert {found[run]["outcome"] for run in runs} == {"success"}
    assert not list(installation.faults.iterdir()), "both hung"
    assert installation.log.read_text().count('"worker_ended"') >= 2


def test_a_serve_that_is_killed_leaves_no_hung_worker_behind(installation: Installation) -> None:
    serve = installation.serve(patience=60, grace=3)
    installation.fault("structure-before", "hang")
    installation.start_runs(1)
    until(lambda: not list(installation.faults.iterdir()))
    serve.kill()
    until(lambda: processes_of(installation.folder) == {}, 30)


def test_a_store_that_hangs_keeps_no_supervisor_from_its_work(installation: Installation) -> None:
    port = free_port()
    serve = installation.start("serve", "--port", str(port), "--no-migrate", "--grace", "4", "--look", "0.3")
    until(lambda: answers(port))
    [run] = installation.start_runs(1)
    installation.finished(timeout=60)
    (installation.faults / "documents.hang").touch()
    # An end that was not told is told by the supervisor's side: it waits for the store.
    installation.python(
        "from memories.pipeline.models import PostProcessingRun\n"
        f"answer = PostProcessingRun.objects.filter(pk={run}).update(notified=False)"
    )
    time.sleep(4)
    [web] = web_of(installation.folder)
    os.kill(web, signal.SIGKILL)
    until(lambda: [pid for pid in web_of(installation.folder) if pid != web], 15)
    serve.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert serve.wait(timeout=30) == 0
    assert time.monotonic() - began < 15
    until(lambda: processes_of(installation.folder) == {}, 15)


def test_rows_that_nobody_understands_stop_no_supervisor(installation: Installation) -> None:
    serve = installation.serve()
    installation.python(
        """
from django.utils import timezone
from datetime import timedelta
from memories.pipeline import service
from memories.pipeline.engine import lease as leases
from memories.pipeline.models import PostProcessingRun, VendorCall
dead = f"{leases.machine()}:999999999:1"
from memories.pipeline.states import State
for number, owner in enumerate([f"{leases.machine()}:", f"{leases.machine()}:no number:1", dead]):
    run = service.start("reprocess", "somebody", f"m{number}", actor="test")
    lease = leases.claim(PostProcessingRun.objects.get(pk=run.pk), owner="somebody")
    leases.change(lease, State.WAITING, due_at=timezone.now() + timedelta(seconds=300))
    VendorCall.objects.create(run=run, step="structure", fence=1, vendor="v", operation="structure", request_key="k",
                              started_at=timezone.now(), owner=owner, answer=b"no JSON")
answer = None
"""
    )
    runs = installation.start_runs(2)
    found = installation.wait(lambda rows: all(rows[run]["state"] == "finished" for run in runs))
    assert {found[run]["outcome"] for run in runs} == {"success"}
    assert serve.poll() is None
