"""Workers that are frozen just before they write, while the memory is erased, and its vendor cannot be reached."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.process.cluster import Installation, processes_of

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

POINTS = ["transcripts-before", "emotions-before", "vector-before", "structure-during"]

LEFT = """
from memories.privacy import erasure
from memories.models import ErasureReceipt
from memories.pipeline.models import PostProcessingRun, RunStep, StepArtifact
from omi.core import providers
from omi.stores.models import AudioObject, LocalDocument
runs = PostProcessingRun.objects.all()
vectors = providers.one("vectors")
answer = {
    "documents": list(LocalDocument.objects.filter(path__contains="/memories/").values_list("path", flat=True)),
    "vectors": sum(len(vectors.fetch([f"{run.uid}-{run.memory_id}"], namespace="ns1")) for run in runs),
    "audio": AudioObject.objects.filter(deleted_at=None).count(),
    "artifacts": StepArtifact.objects.count(),
    "outputs": sum(bool(step.output or step.note or step.input_hash) for step in RunStep.objects.all()),
}
"""


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(
        tmp_path, quick=True, workers=6, lease=30.0,
        more='PROVIDERS["prerecorded"][0]["OPTIONS"]["forgets"] = False\n',
        queue=0.2,
    )  # fmt: skip
    yield made
    made.close()


def frozen(folder: Path) -> list[int]:
    found = []
    for pid in processes_of(folder):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state == "T":
            found.append(pid)
    return found


def test_nothing_of_an_erased_memory_comes_back_and_no_word_waits_for_a_vendor(installation: Installation) -> None:
    for point in POINTS:
        installation.fault(point, "stop")
    installation.serve(patience=120)
    runs = installation.start_runs(len(POINTS), emotional_feedback=True)
    until = time.monotonic() + 90
    while len(frozen(installation.folder)) < len(POINTS):
        assert time.monotonic() < until, f"still to come: {[file.name for file in installation.faults.iterdir()]}"
        time.sleep(0.1)
    receipts = installation.python(
        f"""
from memories.privacy import erasure
from memories.pipeline.models import PostProcessingRun
runs = PostProcessingRun.objects.filter(pk__in={runs!r})
answer = [sorted(erasure.erase_memory(run.uid, run.memory_id).failed) for run in runs]
"""
    )
    assert receipts == [["runs"]] * len(runs), "the vendor is away; everything else is gone"
    empty = {"documents": [], "vectors": 0, "audio": 0, "artifacts": 0, "outputs": 0}
    assert installation.python(LEFT) == empty
    for pid in frozen(installation.folder):
        os.kill(pid, signal.SIGCONT)
    until = time.monotonic() + 60
    while installation.log.read_text().count('"lease_lost"') < len(POINTS):
        assert time.monotonic() < until, installation.log.read_text()[-3000:]
        time.sleep(0.1)
    assert installation.python(LEFT) == empty
    assert {run["message_id"] for run in installation.runs().values()} == {"memory_gone"}
