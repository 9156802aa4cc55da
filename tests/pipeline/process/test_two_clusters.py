"""More than one machine: two clusters on one PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipeline.process.cluster import Installation

pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]

RUNS = 12


@pytest.fixture
def installation(tmp_path: Path, new_postgres: Callable[[str], str]) -> Iterator[Installation]:
    made = Installation(tmp_path, quick=True, lease=30, database=new_postgres("two_clusters"))
    yield made
    made.close()


def test_two_clusters_do_each_run_once(installation: Installation) -> None:
    """Every wake-up is sent twice on top."""
    runs = installation.start_runs(RUNS)
    installation.python(f"from memories.pipeline.engine import queue\nfor run in {runs}: queue.wake(run)")
    installation.start("qcluster")
    installation.start("qcluster")
    found = installation.finished(timeout=100)
    assert {found[run]["outcome"] for run in runs} == {"success"}
    assert {found[run]["total_claims"] for run in runs} == {1}
    calls = installation.calls()
    assert calls.count(("first", "submit")) == RUNS
    assert calls.count(("structurer", "structure")) == RUNS
