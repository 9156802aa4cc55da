"""A real qcluster under ``manage.py serve``, killed wherever it hurts. Nothing is lost, nothing is applied twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from memories.pipeline.engine.retry_policy import ATTEMPTS
from tests.pipeline.process.cluster import Installation, processes_of, workers_of

pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]

STEPS = ["prepare_audio", "transcribe", "assess", "identify_speakers", "structure", "index", "emotions", "publish"]
POINTS = [
    "claimed",
    *(f"{step}-{when}" for step in STEPS for when in ("before", "during", "after")),
    "document-written",
    "before-ack",
]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, int]]:
    """One cluster under ``manage.py serve`` for all of these tests: each leaves it working. The pid is serve's."""
    # What a killed process held is free at once: no lease has to run out.
    made = Installation(tmp_path_factory.mktemp("kills"), quick=True, lease=30.0)
    pid = made.serve(patience=6).pid
    yield made, pid
    made.close()


@pytest.fixture
def installation(serving: tuple[Installation, int]) -> Installation:
    return serving[0]


def check(installation: Installation, runs: list[int], *, timeout: float = 60.0) -> None:
    """All terminal and successful; document, events and versions written once."""
    found = installation.wait(lambda rows: all(rows[run]["state"] == "finished" for run in runs), timeout=timeout)
    assert {found[run]["outcome"] for run in runs} == {"success"}
    told = installation.python(
        f"""
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories, transcripts
from tests.pipeline.process.work import ends
answer, told = [], ends()
for run in PostProcessingRun.objects.filter(pk__in={runs!r}):
    memory = memories.get_memory(run.uid, run.memory_id)
    versions = transcripts.list_versions(run.uid, run.memory_id, "first_model")
    answer.append([memory.active_transcript, memory.postprocessing.status, told.count(run.pk), len(versions)])
"""
    )
    assert told == [["first_model", "completed", 1, 1]] * len(runs)


def test_killed_at_every_point_of_a_run_it_still_ends_once(installation: Installation) -> None:
    """kill -9 before, during and after every step, and between result and acknowledgement."""
    for point in POINTS:
        installation.fault(point)
    # Two runs go their way at once; each fault happens to whichever passes the point first.
    runs = installation.start_runs(2, emotional_feedback=True)
    check(installation, runs, timeout=110)
    left = sorted(file.name for file in installation.faults.iterdir())
    assert left in ([], ["before-ack.kill"]), "every fault happened"
    for file in left:
        (installation.faults / file).unlink(missing_ok=True)
    calls = installation.calls()
    counted = installation.python(
        "from memories.pipeline.models import VendorCall\nanswer = VendorCall.objects.filter(duplicate=True).count()"
    )
    # A paid step that was killed between the vendor's answer and its storing calls again: that is counted and shown.
    made = [
        calls.count(("first", "submit")),
        calls.count(("structurer", "structure")),
        calls.count(("embedder", "embed")),
    ]
    # How often depends on which call was out when another fault killed its process: any of these kills may cost one.
    assert min(made) >= 2, "each run asked each vendor"
    assert counted >= sum(number - 2 for number in made)
    history = installation.python(
        "from memories.pipeline.models import StepAttempt, RunStep\n"
        f"steps = RunStep.objects.filter(run__in={runs!r})\n"
        "answer = [sum(steps.values_list('attempts', flat=True)), StepAttempt.objects.filter(step__in=steps).count()]"
    )
    assert history[0] == history[1], "every attempt that was counted is in the history"


def test_a_document_store_that_is_away_ends_no_run_and_costs_no_second_call(installation: Installation) -> None:
    """Real workers, more tries than a vendor is given: the runs wait, and go on when it is back."""
    down, before = installation.faults / "documents.down", installation.calls()
    down.touch()
    try:
        runs = installation.start_runs(3)
        installation.wait(lambda found: all(found[run]["total_claims"] > 2 * ATTEMPTS for run in runs), timeout=60)
        assert {installation.runs()[run]["state"] for run in runs} <= {"waiting", "running", "queued"}
    finally:
        down.unlink()
    check(installation, runs)
    made = installation.calls()[len(before) :]
    assert [made.count(("first", "submit")), made.count(("structurer", "structure"))] == [3, 3]
    assert {installation.runs()[run]["claims"] for run in runs} <= {0, 1}


def test_a_poison_run_ends_in_dead_letter_and_the_others_go_on(installation: Installation) -> None:
    poison = installation.faults / "transcribe-before.kill.always"
    poison.touch()
    try:
        [run] = installation.start_runs(1)
        runs = installation.wait(lambda found: bool(found[run]["dead_letter"]), timeout=60)
    finally:
        poison.unlink()
    assert (runs[run]["message_id"], runs[run]["claims"]) == ("worker_died", 5)
    check(installation, installation.start_runs(1))


FROZEN = [
    ["claimed", "prepare_audio-during", "transcribe-before", "structure-during"],
    ["transcribe-after", "emotions-during", "publish-before", "document-written", "publish-after"],
]


@pytest.fixture(scope="module")
def many_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Workers enough that some are left while others are frozen, and patience enough that nobody restarts them."""
    made = Installation(
        tmp_path_factory.mktemp("frozen"), workers=6, lease=2.0, quick=True,
        # What is frozen would be killed at the end of its lease; here it comes back, as on a suspended machine.
        more="from memories.pipeline.engine import processes\nprocesses.end_hung = lambda owner, run_id: False\n",
    )  # fmt: skip
    made.serve(patience=60)
    yield made
    made.close()


@pytest.mark.parametrize("points", FROZEN, ids=lambda points: points[0])
def test_a_frozen_worker_is_taken_over_and_its_late_writes_are_refused(
    many_workers: Installation, points: list[str]
) -> None:
    """SIGSTOP past the lease at every one of ``points``, then SIGCONT."""
    installation = many_workers
    for point in points:
        installation.fault(point, "stop")
    lost = installation.log.read_text().count('"lease_lost"')
    runs = installation.start_runs(len(points), emotional_feedback=True)
    installation.wait(lambda found: not list(installation.faults.iterdir()))  # every fault happened
    # A run is reminded of half a minute after its last message: as if that were over.
    installation.python(
        "from memories.pipeline.models import PostProcessingRun\n"
        f"PostProcessingRun.objects.filter(pk__in={runs!r}).exclude(state='finished').update(task_sent_at=None)"
    )
    installation.wait(lambda found: all(found[run]["state"] == "finished" for run in runs), timeout=90)
    frozen = [
        pid for pid in processes_of(installation.folder)
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    ]  # fmt: skip
    assert len(frozen) == len(points)
    before, told = installation.runs(), installation.python(TOLD)
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    # Whoever was frozen with everything written has nothing left to be refused.
    late = len([point for point in points if point != "publish-after"])
    until = time.monotonic() + 60
    while (now := installation.log.read_text().count('"lease_lost"')) < lost + late and time.monotonic() < until:
        time.sleep(0.1)
    assert now >= lost + late
    assert {run: installation.runs()[run] for run in runs} == {run: before[run] for run in runs}
    assert installation.python(TOLD) == told, "neither the documents nor the event log say anything new"
    check(installation, runs)


TOLD = """
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories
from tests.pipeline.process.work import told
shown = [memories.get_memory(run.uid, run.memory_id) for run in PostProcessingRun.objects.order_by("pk")]
answer = [[str(memory.postprocessing.status), memory.revision] for memory in shown]
answer += [[event["type"], event["run_id"]] for event in told()]
"""


@pytest.mark.parametrize("victim", ["parent", "sentinel", "idle worker", "monitor"])
def test_a_cluster_that_lost_a_process_works_again_within_two_minutes(
    serving: tuple[Installation, int], victim: str
) -> None:
    """Django-Q2 alone hangs or leaves orphans."""
    installation, serve = serving
    leader, sentinel, pool = family(installation, serve)
    chosen = {"parent": [leader], "sentinel": [sentinel], "idle worker": pool[:2], "monitor": [pool[2]]}[victim]
    before = set(processes_of(installation.folder))
    for pid in chosen:
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    check(installation, installation.start_runs(2), timeout=110)
    family(installation, serve, without=chosen)
    assert time.monotonic() - began < 120
    if victim in ("parent", "sentinel"):
        left = {pid for pid in before & set(processes_of(installation.folder)) if pid in (leader, sentinel, *pool)}
        assert not left, "nothing of the old cluster is left"


def family(installation: Installation, serve: int, without: Sequence[int] = ()) -> tuple[int, int, list[int]]:
    """The cluster's first process, its sentinel and its four others, once all are there and ``without`` are gone."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        parents = processes_of(installation.folder)
        for leader in (pid for pid, parent in parents.items() if parent == serve):
            sentinels = [pid for pid, parent in parents.items() if parent == leader]
            pool = workers_of(installation.folder, leader)
            if (
                len(sentinels) == 1 and len(pool) == 4 and not {leader, *sentinels, *pool} & set(without)
            ):  # two workers, monitor, pusher
                return leader, sentinels[0], pool
        time.sleep(0.1)
    raise AssertionError(f"the cluster is not whole: {processes_of(installation.folder)}")
