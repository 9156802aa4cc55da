"""``make bench-pipeline``: what the pipeline itself costs, with vendors and speech engines that answer at once.

Three figures per database (SQLite, and PostgreSQL where its programs are found): own time per run (p50, p95), database
statements per run, and runs per second through a real qcluster beside Django-Q2's own rate for an empty task,
measured in the same minute on the same machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
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
took, statements = [], 0
for index, run in enumerate(ids):
    with CaptureQueriesContext(connection) if index == len(ids) - 1 else __import__("contextlib").nullcontext() as seen:
        began = time.perf_counter()
        assert runner.work(run) == "finished"
        took.append(time.perf_counter() - began)
    if seen is not None:
        sql = [q["sql"] for q in seen if q["sql"].startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))]
        statements, own = len(sql), sum('"pipeline_' in item for item in sql)
took = sorted(took[5:])
answer = dict(p50=took[len(took) // 2], p95=took[int(len(took) * 0.95)], statements=statements, own_statements=own)
"""

COUNT = """
import os, signal, subprocess, sys, time
{left}
total = count()
cluster = subprocess.Popen([sys.executable, "manage.py", "qcluster"], stderr=subprocess.DEVNULL, start_new_session=True)
try:
    until = time.time() + 240
    while count() > total - 4 and time.time() < until: time.sleep(0.01)
    began, first = time.perf_counter(), count()
    while (now := count()) and time.time() < until: time.sleep(0.01)
    answer = [first - now, time.perf_counter() - began]
finally:
    cluster.terminate()
    try: cluster.wait(timeout=20)
    except subprocess.TimeoutExpired: pass
    try: os.killpg(cluster.pid, signal.SIGKILL)
    except ProcessLookupError: pass
"""


def rate(installation: Installation, fill: str, left: str) -> float:
    """Tasks per second from the moment the cluster begins on what waits until the last one is done."""
    installation.python(fill)
    done, seconds = installation.python(COUNT.format(left=left))
    return float(done) / float(seconds)


def measure(name: str, database: str, runs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as folder:
        installation = Installation(Path(folder), lease=60, instant=True, database=database)
        installation.environment["OMI_LOG_LEVEL"] = "ERROR"
        try:
            own = installation.python(OWN_TIME.format(runs=max(30, runs // 4)))
            installation.python("from django_q.models import OrmQ\nOrmQ.objects.all().delete()")
            noop = rate(
                installation,
                "from memories.pipeline import queue\n"
                f"for _ in range({runs * 2}): queue.send('tests.pipeline.instant.nothing')",
                "from django_q.models import OrmQ\ncount = OrmQ.objects.count",
            )
            through = rate(
                installation,
                f"from tests.pipeline.process.work import begin\nbegin({runs}, {{}})",
                "from memories.pipeline.models import PostProcessingRun\n"
                "count = PostProcessingRun.objects.exclude(state='finished').count",
            )
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
            f"{item['database']:<11} own time p50 {item['p50'] * 1000:.0f} ms, p95 {item['p95'] * 1000:.0f} ms\n"
            f"{'':<11} {item['own_statements']} statements of its own, {item['statements']} with the local stores\n"
            f"{'':<11} {item['runs_per_second']:.1f} runs/s through qcluster; Django-Q2 doing nothing "
            f"{item['noop_per_second']:.1f}/s; share {item['share']:.0%}"
        )
    print(f"({time.perf_counter() - began:.0f} s, 2 workers, vendors and speech engines answering at once)")


if __name__ == "__main__":
    main()
