"""One worker, and vendors that take their time: whoever needs no slow vendor is not kept waiting. Real processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from demo.vendors.server import VendorServer
from tests.pipeline.process.cluster import Installation, processes_of, workers_of
from tests.support.vendor_fixtures import Talk, talk, vendor_server

__all__ = ["talk", "vendor_server"]
pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]

PATIENT = {"OMI_CALL_PATIENCE_SECONDS": "1"}
REAL = """
PROVIDERS |= {
    "prerecorded": [{"BACKEND": "transcription.vendors.batch.deepgram.DeepgramPrerecorded"}],
    "structurer": {"BACKEND": "memories.structuring.openai.OpenAIStructurer"},
    "embedder": {"BACKEND": "memories.structuring.openai_embedder.OpenAIEmbedder"},
    "emotions": {"BACKEND": "emotions.hume.HumeEmotions"},
}
OMI_MIN_RECORDING_SECONDS = 1.0
"""


LONG = 120.0
"""Seconds of lease and patience where nobody is killed: a starved machine must not make a call twice."""


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """For all tests that start and end servers of their own on it. A worker of it lives for three tasks."""
    made = Installation(
        tmp_path_factory.mktemp("sqlite"), workers=1, quick=True, lease=LONG, variables=PATIENT,
        more='Q_CLUSTER = {**Q_CLUSTER, "recycle": 3}\n',
    )  # fmt: skip
    yield made
    made.close()


@pytest.fixture
def installation(on_sqlite: Installation) -> Iterator[Installation]:
    """Nothing runs on it."""
    yield on_sqlite
    on_sqlite.stop()


@pytest.fixture
def on_postgres(tmp_path: Path, new_postgres: Callable[[str], str]) -> Iterator[Installation]:
    database = new_postgres(f"slow_{time.time_ns()}")
    made = Installation(tmp_path, workers=1, quick=True, lease=LONG, variables=PATIENT, database=database)
    yield made
    made.close()


def worker_of(installation: Installation, serve: int) -> int:
    """The only worker's pid, once it is there."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        parents = processes_of(installation.folder)
        for leader in (pid for pid, parent in parents.items() if parent == serve):
            pool = workers_of(installation.folder, leader)
            if len(pool) == 3:  # worker, monitor, pusher
                return pool[0]
        time.sleep(0.1)
    raise AssertionError("the cluster is not whole")


def ledger(installation: Installation, run: int) -> list[list[Any]]:
    found = installation.python(
        "from memories.pipeline.models import VendorCall\n"
        f"rows = VendorCall.objects.filter(run={run}).order_by('id')\n"
        "answer = [list(row) for row in rows.values_list('operation', 'outcome', 'duplicate')]"
    )
    return list(found)


def calls_of(installation: Installation, runs: Sequence[int], operation: str) -> int:
    """How many calls of an operation are in the ledger of ``runs``."""
    return sum(row[0] == operation for run in runs for row in ledger(installation, run))


def calls_kept(installation: Installation) -> int:
    return int(
        installation.python(
            "from memories.pipeline.models import VendorCall\n"
            "answer = VendorCall.objects.filter(answer__isnull=False).count()"
        )
    )


def waits(installation: Installation, run: int, *, at: str = "") -> None:
    """Until the run waits, at that step if one is named."""
    installation.wait(lambda found: found[run]["state"] == "waiting" and at in ("", found[run]["current_step"]))


def ends(installation: Installation, run: int, *, timeout: float = 60.0) -> dict[str, Any]:
    found = installation.wait(lambda rows: rows[run]["state"] == "finished", timeout=timeout)[run]
    assert found["outcome"] == "success", found
    return dict(found)


SLOW = [
    ("deepgram", "file", "transcribe"), ("openai", "chat", "structure"), ("openai", "embeddings", "index"),
    ("hume", "file", "emotions"),
]  # fmt: skip


def test_one_slow_vendor_after_the_other_holds_the_only_worker_never(
    tmp_path: Path, talk: Talk, vendor_server: VendorServer
) -> None:
    """Over HTTP, with the real adapters: each vendor of a run answers only after another run has come, been worked on,
    and ended."""
    vendor_server.reset()
    addresses = {name: value for name, value in vendor_server.urls.items() if name != "SIM_URL"}
    installation = Installation(tmp_path, workers=1, lease=LONG, more=REAL, variables={**PATIENT, **addresses})
    start = f"""
from tests.pipeline.process.work import begin
answer = begin(1, {{"emotional_feedback": True}}, {str(talk.path)!r})
"""
    run, others = 0, []
    try:
        installation.serve(patience=LONG)
        for vendor, operation, step in SLOW:
            vendor_server.faults(vendor, {"kind": "held", "op": operation})
            if run:
                vendor_server.answer_held()  # that of the step before
            else:
                [run] = installation.python(start)
            waits(installation, run, at=step)
            [other] = installation.python(start)
            ends(installation, other)
            others.append(other)
            found = installation.runs()[run]
            assert (found["state"], found["current_step"]) == ("waiting", step), "its vendor has not answered yet"
        vendor_server.answer_held()
        ends(installation, run)
        for number in (run, *others):
            rows = ledger(installation, number)
            assert {(outcome, doubled) for _, outcome, doubled in rows} == {("success", False)}
            for asked in ("transcribe", "structure", "embed", "emotions"):
                assert [row[0] for row in rows].count(asked) == 1, "each run asked each vendor once"
        assert calls_kept(installation) == 0
    finally:
        vendor_server.reset()
        installation.close()


def test_a_worker_killed_with_a_call_out_loses_the_call_and_nothing_else(on_postgres: Installation) -> None:
    installation = on_postgres
    serve = installation.serve().pid
    held = installation.hold("structurer")
    [run] = installation.start_runs(1)
    held.asked()
    waits(installation, run)
    os.kill(worker_of(installation, serve), signal.SIGKILL)
    found = ends(installation, run, timeout=100)  # long before the deadline of the call: three minutes
    assert not found["dead_letter"]
    assert found["claims"] <= 1, "that of the worker who ended it"
    structured = [row for row in ledger(installation, run) if row[0] == "structure"]
    assert structured == [["structure", "", False], ["structure", "success", True]]
    held.answer()


def test_a_worker_that_is_told_to_stop_stores_the_answers_that_come_within_the_grace(
    installation: Installation,
) -> None:
    """What comes later is asked for again."""
    serve = installation.serve(patience=LONG, grace=60)
    held = installation.hold("structurer")
    [run] = installation.start_runs(1)
    held.asked()
    waits(installation, run)
    serve.terminate()
    time.sleep(2)
    assert serve.poll() is None, "it waits for the answer"
    held.answer()
    serve.wait(timeout=40)  # as soon as it has it: the grace is longer
    assert installation.runs()[run]["state"] == "queued"
    assert calls_kept(installation) == 1
    serve = installation.serve(patience=LONG, grace=2)
    ends(installation, run)
    assert calls_of(installation, [run], "structure") == 1, "not paid twice"
    assert {doubled for *_, doubled in ledger(installation, run)} == {False}

    held = installation.hold("embedder")
    [late] = installation.start_runs(1)
    held.asked()
    waits(installation, late)
    serve.terminate()
    serve.wait(timeout=60)
    installation.serve(patience=LONG)
    ends(installation, late)
    assert [row for row in ledger(installation, late) if row[0] == "embed"] == [
        ["embed", "", False],
        ["embed", "success", True],
    ]


def test_a_worker_that_is_renewed_loses_no_call_and_is_not_missing_meanwhile(installation: Installation) -> None:
    """Django-Q2 starts the next worker when the old process is gone: it must not wait for a vendor in between."""
    serve = installation.serve(patience=LONG).pid
    first = worker_of(installation, serve)
    held = installation.hold("structurer")
    [run] = installation.start_runs(1)
    held.asked()
    waits(installation, run)
    others = installation.start_runs(4)  # more tasks than a worker lives for
    for other in others:
        ends(installation, other)
    assert installation.runs()[run]["state"] == "waiting", "its vendor has not answered yet"
    held.answer()
    ends(installation, run)
    assert calls_of(installation, [run, *others], "structure") == 5
    until = time.monotonic() + 60
    while worker_of(installation, serve) == first:
        assert time.monotonic() < until, "with no call out it is renewed"
        time.sleep(0.2)


def test_innocent_runs_with_calls_out_survive_a_run_that_kills_its_worker(installation: Installation) -> None:
    serve = installation.serve(patience=8)
    held = installation.hold("structurer")
    [innocent] = installation.start_runs(1)
    held.asked()
    waits(installation, innocent)
    worker_of(installation, serve.pid)
    poison = installation.faults / "transcribe-before.kill.always"
    poison.touch()
    try:
        [bad] = installation.start_runs(1)
        installation.wait(lambda found: bool(found[bad]["dead_letter"]), timeout=150)
    finally:
        poison.unlink()
    found = ends(installation, innocent)
    assert not found["dead_letter"]
    assert installation.runs()[bad]["message_id"] == "worker_died"


END = {
    "cancel": "from memories.pipeline import service\nservice.cancel(run, actor='user')",
    "memory": "from memories.privacy import erasure\nerasure.erase_memory(run.uid, run.memory_id)",
    "account": "from memories.privacy import account\naccount.delete_account(run.uid)",
}


def test_a_late_answer_after_the_end_writes_nothing(on_postgres: Installation) -> None:
    """Whoever ended the run: each in turn on one cluster."""
    installation = on_postgres
    installation.serve(patience=LONG)
    for what, code in END.items():
        ended = installation.log.read_text().count('"late_answer"')
        held = installation.hold("structurer")
        [run] = installation.start_runs(1)
        held.asked()
        waits(installation, run)
        installation.python(
            "from memories.pipeline.models import PostProcessingRun\n"
            f"run = PostProcessingRun.objects.get(pk={run})\n{code}"
        )
        before = installation.runs().get(run)
        held.answer()
        until = time.monotonic() + 60
        while installation.log.read_text().count('"late_answer"') == ended:
            assert time.monotonic() < until, "the thread has not ended"
            time.sleep(0.1)
        assert calls_kept(installation) == 0, what
        after = installation.runs().get(run)
        assert after == before, what
        assert (after is None) == (what == "account")
        structured = [row for row in ledger(installation, run) if row[0] == "structure"]
        assert structured == ([] if what == "account" else [["structure", "success", False]]), what
    left = "from memories.privacy import erasure\nanswer = erasure.verify_user_erased('user-1')"
    assert installation.python(left) == {}
