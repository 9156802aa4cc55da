"""A real qcluster under ``manage.py serve``, killed wherever it hurts. Nothing is lost, nothing is applied twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.process.cluster import Installation, processes_of, workers_of

pytestmark = [pytest.mark.process, pytest.mark.timeout(200)]

STEPS = ["prepare_audio", "transcribe", "assess", "identify_speakers", "structure", "index", "emotions", "publish"]
POINTS = [
    "claimed",
    *(f"{step}-{when}" for step in STEPS for when in ("before", "during", "after")),
    "document-written",
    "before-ack",
]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    made.close()


def check(installation: Installation, runs: list[int]) -> None:
    """All terminal and successful; document, events and versions written once."""
    found = installation.finished(timeout=90)
    assert {found[run]["outcome"] for run in runs} == {"success"}
    told = installation.python(
        """
from memories import events
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories, transcripts
answer = []
for run in PostProcessingRun.objects.all():
    memory = memories.get_memory(run.uid, run.memory_id)
    own = [e for e in events.after(run.uid, 0, 500) if e.get("run_id") == run.pk]
    versions = transcripts.list_versions(run.uid, run.memory_id, "first_model")
    answer.append([memory.active_transcript, memory.postprocessing.status, len(own), len(versions)])
"""
    )
    assert told == [["first_model", "completed", 1, 1]] * len(told)


def test_killed_at_every_point_of_a_run_it_still_ends_once(installation: Installation) -> None:
    """kill -9 before, during and after every step, and between result and acknowledgement (anchors C.4 no. 1)."""
    for point in POINTS:
        installation.fault(point)
    [run] = installation.start_runs(1, emotional_feedback=True)
    installation.serve()
    check(installation, [run])
    left = sorted(file.name for file in installation.faults.iterdir())
    assert left in ([], ["before-ack.kill"]), "every fault happened"
    calls = installation.calls()
    counted = installation.python(
        "from memories.pipeline.selectors import doubled_calls\nanswer = doubled_calls()"
    )
    # Each paid step was killed once between the vendor's answer and its storing: that call is made again, and shown.
    assert calls.count(("first", "submit")) - 1 <= 1
    assert counted == sum(max(0, calls.count(call) - 1) for call in set(calls))


def test_a_poison_run_ends_in_dead_letter_and_the_others_go_on(installation: Installation) -> None:
    (installation.faults / "transcribe-before.kill.always").touch()
    installation.start_runs(1)
    installation.serve()
    runs = installation.wait(lambda found: all(run["dead_letter"] for run in found.values()), timeout=120)
    assert [(run["message_id"], run["claims"]) for run in runs.values()] == [("worker_died", 5)]
    (installation.faults / "transcribe-before.kill.always").unlink()
    [healthy] = installation.start_runs(1)
    found = installation.finished(timeout=60)
    assert found[healthy]["outcome"] == "success"


def test_a_frozen_worker_is_taken_over_and_its_late_writes_are_refused(installation: Installation) -> None:
    """SIGSTOP past the lease, then SIGCONT (anchors C.4 no. 6)."""
    installation.fault("structure-during", "stop")
    [run] = installation.start_runs(1)
    installation.serve(patience=60)
    installation.wait(lambda runs: runs[run]["state"] == "finished", timeout=60)
    frozen = [
        pid for pid in processes_of(installation.folder)
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    ]  # fmt: skip
    assert len(frozen) == 1
    before = installation.runs()[run]
    os.kill(frozen[0], signal.SIGCONT)
    until = time.monotonic() + 15
    while "lease_lost" not in installation.log.read_text() and time.monotonic() < until:
        time.sleep(0.1)
    assert "lease_lost" in installation.log.read_text()
    assert installation.runs()[run] == before
    check(installation, [run])


@pytest.mark.parametrize("victim", ["parent", "sentinel", "idle worker", "monitor"])
def test_a_cluster_that_lost_a_process_works_again_within_two_minutes(installation: Installation, victim: str) -> None:
    """dependencies.md 2, tests F, J, K: Django-Q2 alone hangs or leaves orphans."""
    serve = installation.serve(patience=6)
    [first] = installation.start_runs(1)
    installation.finished(timeout=60)
    parents = processes_of(installation.folder)
    leader = next(pid for pid, parent in parents.items() if parent == serve.pid)
    sentinel = next(pid for pid, parent in parents.items() if parent == leader)
    pool = workers_of(installation.folder, leader)
    assert len(pool) == 4  # two workers, monitor, pusher
    chosen = {"parent": [leader], "sentinel": [sentinel], "idle worker": pool[:2], "monitor": [pool[2]]}[victim]
    for pid in chosen:
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    runs = installation.start_runs(2)
    check(installation, [first, *runs])
    assert time.monotonic() - began < 120
