"""More than one machine: two clusters on one PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.pipeline.process.cluster import Installation

pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]

RUNS = 12


@pytest.fixture
def installation(tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    with psycopg.connect(postgres_url.replace("postgres://", "postgresql://"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE two_clusters")  # "omi" is where the contract suites make their tables
    database = f"{postgres_url.rsplit('/', 1)[0]}/two_clusters"
    made = Installation(tmp_path, instant=True, lease=30, database=database)
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
