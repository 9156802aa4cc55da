"""One worker, and vendors that take their time: whoever needs no slow vendor is not kept waiting. Real processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.vendors.server import VendorServer
from tests.pipeline.process.cluster import Installation, processes_of, workers_of
from tests.support.vendor_fixtures import Talk, talk, vendor_server

__all__ = ["talk", "vendor_server"]
pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]

PATIENT = {"OMI_CALL_PATIENCE_SECONDS": "1"}
SOON = 12.0
"""Seconds in which a run ends that waits for nobody, on a busy machine. (Slow vendors here answer when told to.)"""

REAL = """
PROVIDERS |= {
    "prerecorded": [{"BACKEND": "transcription.vendors.batch.deepgram.DeepgramPrerecorded"}],
    "structurer": {"BACKEND": "memories.structuring.openai.OpenAIStructurer"},
    "embedder": {"BACKEND": "memories.structuring.openai_embedder.OpenAIEmbedder"},
    "emotions": {"BACKEND": "emotions.hume.HumeEmotions"},
}
OMI_MIN_RECORDING_SECONDS = 1.0
"""


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """ "" for a SQLite file, else the address of a new PostgreSQL database."""
    if request.param == "sqlite":
        return ""
    return str(request.getfixturevalue("new_postgres")(f"slow_{time.time_ns()}"))


@pytest.fixture
def installation(tmp_path: Path, database: str) -> Iterator[Installation]:
    made = Installation(tmp_path, workers=1, database=database, variables=PATIENT)
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
        "answer = [list(row) for row in rows.values_list('operation', 'outcome', 'doubled')]"
    )
    return list(found)


def calls_kept(installation: Installation) -> int:
    return int(
        installation.python(
            "from memories.pipeline.models import VendorCall\n"
            "answer = VendorCall.objects.filter(answer__isnull=False).count()"
        )
    )


def waits(installation: Installation, run: int, *, timeout: float = 30.0) -> None:
    installation.wait(lambda found: found[run]["state"] == "waiting", timeout=timeout)


def ends(installation: Installation, run: int, *, timeout: float = 60.0) -> dict[str, Any]:
    found = installation.wait(lambda rows: rows[run]["state"] == "finished", timeout=timeout)[run]
    assert found["outcome"] == "success", found
    return dict(found)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_one_slow_vendor_after_the_other_holds_the_only_worker_never(installation: Installation) -> None:
    """Each vendor of a run answers only after another run has come, been worked on, and ended."""
    installation.serve()
    slow: list[int] = []
    for vendor in ("first", "structurer", "embedder", "emotions"):
        held = installation.hold(vendor)
        [run] = installation.start_runs(1, emotional_feedback=True)
        held.asked()
        waits(installation, run)
        began = time.monotonic()
        [other] = installation.start_runs(1, emotional_feedback=True)
        ends(installation, other)
        assert time.monotonic() - began < SOON
        assert installation.runs()[run]["state"] == "waiting", "the slow one's vendor has not answered yet"
        held.answer()
        ends(installation, run)
        slow.append(run)
    calls = installation.calls()
    for call in (("first", "submit"), ("structurer", "structure"), ("embedder", "embed"), ("emotions", "measure")):
        assert calls.count(call) == 8, "each run asked each vendor once"
    for run in slow:
        assert {(outcome, doubled) for _, outcome, doubled in ledger(installation, run)} == {("success", False)}
    assert calls_kept(installation) == 0


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_worker_killed_with_a_call_out_loses_the_call_and_nothing_else(installation: Installation) -> None:
    serve = installation.serve().pid
    held = installation.hold("structurer")
    [run] = installation.start_runs(1)
    held.asked()
    waits(installation, run)
    os.kill(worker_of(installation, serve), signal.SIGKILL)
    began = time.monotonic()
    found = ends(installation, run, timeout=60)
    assert time.monotonic() - began < 45, "long before the deadline of the call (three minutes)"
    assert not found["dead_letter"]
    assert found["claims"] <= 1, "that of the worker who ended it"
    assert installation.calls().count(("structurer", "structure")) == 2
    structured = [row for row in ledger(installation, run) if row[0] == "structure"]
    assert structured == [["structure", "", False], ["structure", "success", True]]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_worker_that_is_told_to_stop_stores_the_answers_that_come_within_the_grace(
    installation: Installation,
) -> None:
    serve = installation.serve(grace=30)
    held = installation.hold("structurer")
    [run] = installation.start_runs(1)
    held.asked()
    waits(installation, run)
    serve.terminate()
    time.sleep(2)
    assert serve.poll() is None, "it waits for the answer"
    held.answer()
    began = time.monotonic()
    serve.wait(timeout=40)
    assert time.monotonic() - began < 20, "and ends as soon as it has it"
    assert installation.runs()[run]["state"] == "queued"
    assert calls_kept(installation) == 1
    installation.serve()
    ends(installation, run)
    assert installation.calls().count(("structurer", "structure")) == 1, "not paid twice"
    assert {doubled for *_, doubled in ledger(installation, run)} == {False}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_answer_that_does_not_come_within_the_grace_is_asked_for_again(installation: Installation) -> None:
    serve = installation.serve(grace=2)
    held = installation.hold("embedder")
    [run] = installation.start_runs(1)
    held.asked()
    waits(installation, run)
    serve.terminate()
    serve.wait(timeout=30)
    installation.serve()
    ends(installation, run, timeout=60)
    assert [row for row in ledger(installation, run) if row[0] == "embed"] == [
        ["embed", "", False],
        ["embed", "success", True],
    ]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_worker_that_is_renewed_loses_no_call_and_is_not_missing_meanwhile(tmp_path: Path, database: str) -> None:
    """Django-Q2 starts the next worker when the old process is gone: it must not wait for a vendor in between."""
    installation = Installation(
        tmp_path, workers=1, variables=PATIENT, more='Q_CLUSTER = {**Q_CLUSTER, "recycle": 3}\n'
    )
    try:
        serve = installation.serve().pid
        first = worker_of(installation, serve)
        held = installation.hold("structurer")
        [run] = installation.start_runs(1)
        held.asked()
        waits(installation, run)
        for _ in range(4):  # more tasks than a worker lives for
            began = time.monotonic()
            [other] = installation.start_runs(1)
            ends(installation, other)
            assert time.monotonic() - began < SOON
        held.answer()
        ends(installation, run)
        assert installation.calls().count(("structurer", "structure")) == 5
        until = time.monotonic() + 30
        while worker_of(installation, serve) == first:
            assert time.monotonic() < until, "with no call out it is renewed"
            time.sleep(0.2)
    finally:
        installation.close()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
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
        installation.wait(lambda found: bool(found[bad]["dead_letter"]), timeout=100)
    finally:
        poison.unlink()
    found = ends(installation, innocent)
    assert not found["dead_letter"]
    assert installation.runs()[bad]["message_id"] == "worker_died"


@pytest.mark.parametrize("what", ["cancel", "memory", "account"])
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_late_answer_after_the_end_writes_nothing(installation: Installation, what: str) -> None:
    installation.serve()
    held = installation.hold("structurer")
    [run] = installation.start_runs(1)
    held.asked()
    waits(installation, run)
    acts = {
        "cancel": "from memories.pipeline import service\nservice.cancel(run, actor='user')",
        "memory": "from memories.privacy import erasure\nerasure.erase_memory(run.uid, run.memory_id)",
        "account": "from memories.privacy import account\naccount.delete_account(run.uid)",
    }
    installation.python(
        "from memories.pipeline.models import PostProcessingRun\n"
        f"run = PostProcessingRun.objects.get(pk={run})\n{acts[what]}"
    )
    before = installation.runs().get(run)
    held.answer()
    until = time.monotonic() + 20
    while '"late_answer"' not in installation.log.read_text():
        assert time.monotonic() < until, "the thread has not ended"
        time.sleep(0.1)
    assert calls_kept(installation) == 0
    after = installation.runs().get(run)
    assert after == before
    assert (after is None) == (what == "account")
    structured = [row for row in ledger(installation, run) if row[0] == "structure"]
    assert structured == ([] if what == "account" else [["structure", "success", False]])
    if what == "account":
        left = "from memories.privacy import erasure\nanswer = erasure.verify_user_erased('user-1')"
        assert installation.python(left) == {}


@pytest.mark.parametrize(
    ("vendor", "operation", "step"),
    [("deepgram", "file", "transcribe"), ("openai", "chat", "structure"), ("openai", "embeddings", "index"),
     ("hume", "file", "emotions")],
)  # fmt: skip
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_over_http_the_real_adapters_hold_no_worker(
    tmp_path: Path, talk: Talk, vendor_server: VendorServer, database: str, vendor: str, operation: str, step: str
) -> None:
    vendor_server.reset()
    addresses = {name: value for name, value in vendor_server.urls.items() if name != "SIM_URL"}
    installation = Installation(tmp_path, workers=1, more=REAL, variables={**PATIENT, **addresses})
    start = f"""
from tests.pipeline.process.work import begin
answer = begin(1, {{"emotional_feedback": True}}, {str(talk.path)!r})
"""
    try:
        installation.serve()
        vendor_server.faults(vendor, {"kind": "delay", "seconds": 20.0, "op": operation})
        [run] = installation.python(start)
        installation.wait(
            lambda found: (found[run]["state"], found[run]["current_step"]) == ("waiting", step), timeout=60
        )
        began = time.monotonic()
        [other] = installation.python(start)
        ends(installation, other)
        assert time.monotonic() - began < SOON
        assert (installation.runs()[run]["state"], installation.runs()[run]["current_step"]) == ("waiting", step)
        ends(installation, run)
        assert len(vendor_server.log(vendor, operation)) == 2, "one call for each run"
        assert {(outcome, doubled) for _, outcome, doubled in ledger(installation, run)} == {("success", False)}
    finally:
        installation.close()
        vendor_server.reset()
