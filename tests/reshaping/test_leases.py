"""What a worker works on nobody else takes; what a dead one had is taken up within a lease, not after ten minutes."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline import tasks
from memories.pipeline.models import ClusterBeat
from memories.reshaping import working
from memories.reshaping.models import Reshaping

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """What a SIGKILL is to the code."""


@pytest.fixture
def row(db: None) -> Reshaping:
    return Reshaping.objects.create(id="rs_1", uid="alice", kind="merge", key="k", next_at=timezone.now())


def test_a_dead_workers_reshaping_is_due_again_when_its_lease_is_over(
    row: Reshaping, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(found: Reshaping) -> None:
        raise Killed

    monkeypatch.setattr(working, "_make", dies)
    with pytest.raises(Killed):
        working.work(row.pk)
    row.refresh_from_db()
    assert timezone.now() < row.next_at <= timezone.now() + timedelta(seconds=settings.OMI_LEASE_SECONDS)


def test_a_worker_that_takes_long_keeps_its_reshaping(
    row: Reshaping, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OMI_LEASE_SECONDS = 0.4
    monkeypatch.setenv("OMI_CLUSTER_ID", "here")
    monkeypatch.setattr(tasks, "_last_sign", 0.0)
    seen: list[Any] = []

    def copies(found: Reshaping) -> None:
        end = time.monotonic() + 30
        while len(set(seen)) < 4 and time.monotonic() < end:
            seen.append(Reshaping.objects.get(pk=found.pk).next_at)
            time.sleep(0.01)
        working._finish(found, Reshaping.State.DONE)

    monkeypatch.setattr(working, "_make", copies)
    working.work(row.pk)
    assert len(set(seen)) >= 4
    assert seen == sorted(seen)
    row.refresh_from_db()
    assert row.finished
    assert ClusterBeat.objects.filter(name="here").exists(), "else serve takes the cluster for one that hangs"
