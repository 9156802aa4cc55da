"""``make bench-pipeline``: what the pipeline itself costs, with vendors and speech engines that answer at once.

Three figures per database (SQLite, and PostgreSQL where its programs are found): own time per run (p50, p95), database
statements per run, and runs per second through a real qcluster beside the rates of empty tasks: through Django-Q2 as it
comes (its own broker, its defaults for results), and through the cluster that did the runs. All are measured from the
first send to the last message acknowledged, by workers that are already up.
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
import contextlib, time
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext
from memories.pipeline import runner
from memories.pipeline.engine.context import Context
from omi.stores import audio
from speakers import identify
from tests.pipeline import instant
from tests.pipeline.process.work import begin

spent = {{}}
def part(name, real):
    def timed(*args, **more):
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            return real(*args, **more)
        finally:
            before = spent.get(name, (0.0, 0.0))
            spent[name] = before[0] + time.perf_counter() - wall, before[1] + time.thread_time() - cpu
    return timed

def work(ids, took):
    for run in ids:
        began, cpu = time.perf_counter(), time.thread_time()
        assert runner.work(run) == "finished"
        took.append((time.perf_counter() - began, time.thread_time() - cpu))

ids = begin({runs} + 25, {{}})
work(ids[:5], [])
took = []
work(ids[5:-20], took)
walls, cpus = sorted(item[0] for item in took), sorted(item[1] for item in took)

with CaptureQueriesContext(connection) as seen:
    work(ids[-20:-19], [])
sql = [query["sql"].lstrip() for query in seen]
counts = {{kind: sum(text.startswith(kind) for text in sql) for kind in ("SELECT", "INSERT", "UPDATE", "DELETE")}}
statements = sum(counts.values())
own = sum('"pipeline_' in text or "FROM pipeline_" in text for text in sql if not text.startswith(("BEGIN", "COMMIT")))
explicit, inside = 0, False
for text in sql:  # every write outside of a transaction is one of its own
    inside = (inside or text.startswith("BEGIN")) and not text.startswith(("COMMIT", "ROLLBACK"))
    explicit += text.startswith("COMMIT") or (not inside and text.startswith(("INSERT", "UPDATE", "DELETE")))
counts = dict(SELECT=counts["SELECT"], INSERT=counts["INSERT"], UPDATE=counts["UPDATE"] + counts["DELETE"],
              transactions=explicit)

timed = part("database", lambda execute, *rest: execute(*rest))
connection.execute_wrappers.append(timed)
BaseDatabaseWrapper._commit = part("commit", BaseDatabaseWrapper._commit)
audio.put, audio.local_copy = part("files", audio.put), part("files", audio.local_copy)
Context.close = part("files", Context.close)
identify.identify = part("voices", identify.identify)
detail = []
work(ids[-19:], detail)
connection.execute_wrappers.clear()
parts = {{name: [1000 * value / len(detail) for value in pair] for name, pair in spent.items()}}
parts["all"] = [1000 * sum(item[index] for item in detail) / len(detail) for index in (0, 1)]

instant.tables()
instant.bare(counts)
bare = []
for _ in range(60):
    began, cpu = time.perf_counter(), time.thread_time()
    instant.bare(counts)
    bare.append((time.perf_counter() - began, time.thread_time() - cpu))
bare = sorted(item[0] for item in bare)[30], sorted(item[1] for item in bare)[30]
answer = dict(
    cpu=cpus[len(cpus) // 2], p50=walls[len(walls) // 2], p95=walls[int(len(walls) * 0.95)], statements=statements,
    own_statements=own, counts=counts, parts=parts, bare_p50=bare[0], bare_cpu=bare[1],
)
"""

THROUGH = """
import time
from django_q.models import OrmQ
from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun
from django_q.tasks import async_task
from tests.pipeline.process.work import prepare

def through(enqueue, number, ended):
    began = time.perf_counter()
    enqueue()
    sent = time.perf_counter() - began
    until = time.time() + 240
    while OrmQ.objects.exists() and time.time() < until: time.sleep(0.01)
    took = time.perf_counter() - began
    assert ended(), f"not all of {{number}} ended"
    return [number / sent, number / took]

def tasks(number, name, *args):
    def enqueue():
        for _ in range(number):
            async_task(f"tests.pipeline.instant.{{name}}", *args{more})
    return through(enqueue, number, lambda: not OrmQ.objects.exists())

def runs(number):
    ready = prepare(number)
    def enqueue():
        for memory_id, kept in ready:
            service.start("postprocess", "user-1", memory_id, actor="bench", audio=kept)
    return through(enqueue, number, lambda: not PostProcessingRun.objects.exclude(state="finished").exists())

"""

STOCK = "Q_CLUSTER.pop('broker_class')\nQ_CLUSTER['save_limit'] = 250\n"
"""Django-Q2 as it comes: its own ORM broker, and the results of tasks kept as by default."""


def rates(installation: Installation, number: int, counts: dict[str, int]) -> dict[str, float]:
    """Empty tasks, tasks of bare statements and runs per second, sent one by one, done by two real workers.

    Django-Q2 as it comes is measured before and after, and the mean is taken; so are empty tasks of our cluster.
    """
    settings = installation.folder / "fault_settings.py"
    ours = settings.read_text()
    empty = f"answer = (tasks(20, 'nothing'), tasks({2 * number}, 'nothing'))[1]"
    mine = THROUGH.format(more=", broker=broker(), ack_failure=True, save=True")
    mine = mine.replace("import time\n", "import time\nfrom memories.pipeline.engine.queue import broker\n", 1)
    stock, own = [], []

    def measured(text: str, code: str) -> Any:
        settings.write_text(text)
        installation.restart_driver()
        cluster = installation.start("qcluster")
        try:
            return installation.python(code, timeout=900)
        finally:
            cluster.terminate()
            cluster.wait(timeout=60)

    try:
        stock.append(measured(ours + STOCK, THROUGH.format(more="") + empty)[1])
        warm = f"tasks(20, 'nothing'), tasks(4, 'bare', {counts!r}), runs(8)\n"
        code = f"answer = [tasks({number}, 'bare', {counts!r}), runs({number}), tasks({2 * number}, 'nothing')]"
        bare, runs, last = measured(ours, mine + warm + code)
        own.append(last[1])
        stock.append(measured(ours + STOCK, THROUGH.format(more="") + empty)[1])
    finally:
        settings.write_text(ours)
    noop = sum(stock) / len(stock)
    return {
        "noop_per_second": noop, "own_noop_per_second": sum(own) / len(own), "bare_per_second": bare[1],
        "runs_per_second": runs[1], "share": runs[1] / noop, "share_of_own_noop": runs[1] * len(own) / sum(own),
        "share_of_bare": runs[1] / bare[1],
    }  # fmt: skip


def measure(name: str, database: str, runs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as folder:
        installation = Installation(Path(folder), lease=60, instant=True, database=database)
        installation.environment["OMI_LOG_LEVEL"] = "ERROR"
        # What is measured is not to look for the tests' faults and to write down its calls.
        del installation.environment["OMI_FAULTS_DIR"], installation.environment["FAKES_LOG"]
        try:
            own = installation.python(OWN_TIME.format(runs=max(30, runs // 4)), timeout=300)
            installation.python("from django_q.models import OrmQ\nOrmQ.objects.all().delete()")
            through = rates(installation, runs, own["counts"])
        finally:
            installation.close()
    return {"database": name, **own, **through}


def lines(item: dict[str, Any]) -> list[str]:
    counts, parts = item["counts"], item["parts"]
    rest = parts["all"][1] - sum(parts[name][1] for name in parts if name not in ("all", "commit"))
    told = ", ".join(
        f"{name} {parts[name][1]:.1f} of {parts[name][0]:.1f}"
        for name in ("database", "commit", "files", "voices")
        if name in parts
    )
    return [
        f"own time p50 {item['p50'] * 1000:.0f} ms, p95 {item['p95'] * 1000:.0f} ms, "
        f"processor time p50 {item['cpu'] * 1000:.1f} ms",
        f"{item['own_statements']} statements of its own, {item['statements']} with the local stores, in "
        f"{counts['transactions']} transactions; the same number bare: {item['bare_p50'] * 1000:.0f} ms, "
        f"processor time {item['bare_cpu'] * 1000:.1f} ms",
        f"parts (ms of processor time of ms of time; with timers): {told}; other Python {rest:.1f}; "
        f"all {parts['all'][1]:.1f} of {parts['all'][0]:.1f}",
        f"{item['runs_per_second']:.1f} runs/s through qcluster; an empty task through Django-Q2 as it comes "
        f"{item['noop_per_second']:.1f}/s (share {item['share']:.0%}), "
        f"through our cluster {item['own_noop_per_second']:.1f}/s (share {item['share_of_own_noop']:.0%}); "
        f"a task of the same statements, bare, {item['bare_per_second']:.1f}/s (share {item['share_of_bare']:.0%})",
    ]


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
    parser.add_argument("--runs", type=int, default=240)
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
        for number, line in enumerate(lines(item)):
            print(f"{'' if number else item['database']:<11} {line}")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"({time.perf_counter() - began:.0f} s, 2 workers, vendors and speech engines answering at once, load {load})"
    )


if __name__ == "__main__":
    main()
