"""Many runs while processes of the cluster are killed at random every few seconds.

The long soak: ``PIPELINE_SOAK_RUNS=300 pytest tests/pipeline/process/test_soak.py``.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from omi.management.commands.serve import TOO_SOON
from tests.pipeline.process.cluster import Installation, processes_of, workers_of

RUNS = int(os.environ.get("PIPELINE_SOAK_RUNS", "20"))

BATCH = 10

pytestmark = [pytest.mark.process, pytest.mark.timeout(150 + RUNS * 3)]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, quick=True)
    yield made
    made.close()


def kill_somebody(installation: Installation, serve: int, dice: random.Random, since: dict[int, float]) -> bool:
    """One process of the cluster: mostly a worker, sometimes the monitor, the pusher, the sentinel or the parent.

    ``since``: when each parent was first seen with a whole pool, which this notes.
    """
    parents = processes_of(installation.folder)
    pools = {pid: workers_of(installation.folder, pid) for pid, parent in parents.items() if parent == serve}
    leader, pool = max(pools.items(), key=lambda item: len(item[1]), default=(0, []))
    if len(pool) < 4:  # still starting: on a busy machine nothing but the start would ever be hit
        return False
    others = [leader, *(pid for pid, parent in parents.items() if parent == leader)]
    # A cluster whose parent ends within seconds of each of three starts is given up by serve, and rightly so.
    young = time.monotonic() - since.setdefault(leader, time.monotonic()) < TOO_SOON
    chosen = dice.choice(pool if young or dice.random() < 0.8 else others)
    try:
        os.kill(chosen, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def test_runs_under_random_kills_all_end_once(installation: Installation) -> None:
    seed = int(os.environ.get("PIPELINE_SOAK_SEED", time.time()))
    print("seed", seed)
    dice = random.Random(seed)
    serve = installation.serve(patience=10)
    runs: list[int] = []
    while len(runs) < RUNS:
        runs += installation.start_runs(BATCH)
    kills, began, next_kill, since = 0, time.monotonic(), 0.0, dict[int, float]()
    while True:  # somebody is killed every few seconds until the last run has ended
        found = installation.runs()
        ended = sum(1 for run in found.values() if run["state"] == "finished")
        if ended == RUNS:
            break
        assert serve.poll() is None, "serve itself goes on"
        assert time.monotonic() - began < 60 + 3 * RUNS, installation.log.read_text()[-3000:]
        if ended and time.monotonic() > next_kill and kill_somebody(installation, serve.pid, dice, since):
            kills, next_kill = kills + 1, time.monotonic() + dice.uniform(1.5, 4.5)
        time.sleep(0.2)
    took = time.monotonic() - began
    assert kills >= 1
    assert {found[run]["outcome"] for run in runs} == {"success"}
    told = installation.python(
        """
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.repository import memories, transcripts
from tests.pipeline.process.work import ends, told
numbers = [event["event_number"] for event in told()]
own = ends()
shown = {memories.get_memory(run.uid, run.memory_id).active_transcript for run in PostProcessingRun.objects.all()}
answer = [len(set(own)), len(own), numbers == sorted(set(numbers)), sorted(shown),
          VendorCall.objects.filter(duplicate=True).count()]
"""
    )
    calls = installation.calls()
    paid = {"submit": "first", "structure": "structurer", "embed": "embedder"}
    made = {operation: calls.count((vendor, operation)) for operation, vendor in paid.items()}
    print(f"{RUNS} runs in {took:.0f} s, kills", kills, "calls", made, "duplicate", told[4])
    assert told[:4] == [RUNS, RUNS, True, ["first_model"]]
    # Every call beyond one per run is in the ledger as doubled; so is one whose worker died before it was made.
    assert sum(made.values()) - 3 * RUNS <= told[4] <= 3 * kills
