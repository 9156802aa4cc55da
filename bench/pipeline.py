"""``make bench-pipeline``: what the pipeline itself costs, with vendors and speech engines that answer at once.

Three figures per database (SQLite, and PostgreSQL where its programs are found): own time per run (p50, p95), database
statements per run, and runs per second through a real qcluster beside the rate of empty tasks through the same cluster,
measured in the same way: from the first send to the last result stored, by workers that are already up.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.pipeline.process.cluster import Installation
from tests.support.processes import Unavailable, free_port, running

OWN_TIME = """
import time
from django.db import connection
from django.test.utils import CaptureQueriesContext
from memories.pipeline import runner
from tests.pipeline.process.work import begin
from tests.pipeline import fakes
ids = begin({runs}, {{}})
took, cpus, statements = [], [], 0
for index, run in enumerate(ids):
    with CaptureQueriesContext(connection) if index == len(ids) - 1 else __import__("contextlib").nullcontext() as seen:
        began, cpu = time.perf_counter(), time.thread_time()
        assert runner.work(run) == "finished"
        took.append(time.perf_counter() - began)
        cpus.append(time.thread_time() - cpu)
    if seen is not None:
        sql = [q["sql"] for q in seen if q["sql"].startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))]
        statements, own = len(sql), sum('"pipeline_' in item for item in sql)
took, cpus = sorted(took[5:]), sorted(cpus[5:])
p50, p95 = took[len(took) // 2], took[int(len(took) * 0.95)]
answer = dict(cpu=cpus[len(cpus) // 2], p50=p50, p95=p95, statements=statements, own_statements=own)
"""

THROUGH = """
import time
from django.db import connection
from django_q.models import Success
from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.queue import broker
from django_q.tasks import async_task
from tests.pipeline.process.work import prepare

def through(enqueue, done, number):
    began = time.perf_counter()
    enqueue()
    sent = time.perf_counter() - began
    until = time.time() + 240
    while done() < number and time.time() < until: time.sleep(0.05)
    assert done() >= number, f"only {{done()}} of {{number}}"
    return [number / sent, number / (time.perf_counter() - began)]

def empty(number):
    before = Success.objects.count()
    def enqueue():
        for _ in range(number):
            async_task("tests.pipeline.instant.nothing", broker=broker(), ack_failure=True, save=True)
    return through(enqueue, lambda: Success.objects.count() - before, number)

def runs(number):
    ready = prepare(number)
    before = PostProcessingRun.objects.filter(state="finished").count()
    def enqueue():
        for memory_id, kept in ready:
            service.start("postprocess", "user-1", memory_id, actor="bench", audio=kept)
    return through(enqueue, lambda: PostProcessingRun.objects.filter(state="finished").count() - before, number)

empty(20), runs(4)  # the workers import what they need
answer = [empty({number}), runs({number}), empty({number})]
"""


def rates(installation: Installation, number: int) -> tuple[float, float]:
    """Empty tasks and runs per second, measured alike: sent one by one, done by real workers, result stored.

    A success of an empty task is stored as Django-Q2 stores it (``save=True``); the runs' messages store none, their
    results are their own rows. Empty tasks are measured before and after the runs, and the mean is taken.
    """
    cluster = installation.start("qcluster")
    try:
        first, through, last = installation.python(THROUGH.format(number=number), timeout=600)
    finally:
        cluster.terminate()
    return (first[1] + last[1]) / 2, through[1]


def measure(name: str, database: str, runs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as folder:
        installation = Installation(Path(folder), lease=60, instant=True, database=database)
        installation.environment["OMI_LOG_LEVEL"] = "ERROR"
        try:
            own = installation.python(OWN_TIME.format(runs=max(30, runs // 4)))
            installation.python("from django_q.models import OrmQ\nOrmQ.objects.all().delete()")
            noop, through = rates(installation, runs)
        finally:
            installation.close()
    return {"database": name, **own, "noop_per_second": noop, "runs_per_second": through, "share": through / noop}


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL of our own with fsync off. Raises Unavailable."""
    from tests.support import services

    initdb, server = services._postgres_programs()
    user = services._unprivileged()
    with tempfile.TemporaryDirectory(prefix="bench-postgres-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        home = folder / "data"
        home.mkdir()
        if user:
            import shutil

            shutil.chown(home, user)
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        locale = ["--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"]
        services._do([*as_user, initdb, "-D", str(home), "-U", "omi", *locale])
        port = free_port()
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "fsync=off"]
        with running(
            [*as_user, server, "-D", str(home), *options],
            ready=lambda: services._answers(["pg_isready", "-h", "127.0.0.1", "-p", str(port)]),
            log=folder / "log",
            stop=signal.SIGINT,
        ):
            services._do(["createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "omi", "omi"])
            yield f"postgres://omi@127.0.0.1:{port}/omi"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=120)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    options = parser.parse_args()
    began = time.perf_counter()
    results = []
    if options.only != "postgresql":
        results.append(measure("sqlite", "", options.runs))
    if options.only != "sqlite":
        try:
            with postgres() as url:
                results.append(measure("postgresql", url, options.runs))
        except Unavailable as problem:
            print(f"PostgreSQL is not measured: {problem}", file=sys.stderr)
    if options.json:
        print(json.dumps(results, indent=1))
        return
    for item in results:
        print(
            f"{item['database']:<11} own time p50 {item['p50'] * 1000:.0f} ms, p95 {item['p95'] * 1000:.0f} ms, "
            f"processor time p50 {item['cpu'] * 1000:.0f} ms\n"
            f"{'':<11} {item['own_statements']} statements of its own, {item['statements']} with the local stores\n"
            f"{'':<11} {item['runs_per_second']:.1f} runs/s through qcluster; an empty task "
            f"{item['noop_per_second']:.1f}/s; share {item['share']:.0%}"
        )
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"({time.perf_counter() - began:.0f} s, 2 workers, vendors and speech engines answering at once, load {load})"
    )


if __name__ == "__main__":
    main()
