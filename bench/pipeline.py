"""``make bench-pipeline``: what the pipeline itself costs, with vendors and speech engines that answer at once.

Per database (SQLite, and PostgreSQL where its programs are found): own time per run (p50, p95), processor time with its
parts, statements and transactions.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.pipeline.process.cluster import Installation
from tests.support.migrated import fill_postgres
from tests.support.processes import Unavailable
from tests.support.services import postgres_cluster

OWN_TIME = """
import contextlib, time
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext
from memories.pipeline import runner
from memories.pipeline.engine.context import Context
from omi.stores import audio
from speakers import identify
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

answer = dict(
    cpu=cpus[len(cpus) // 2], p50=walls[len(walls) // 2], p95=walls[int(len(walls) * 0.95)], statements=statements,
    own_statements=own, counts=counts, parts=parts,
)
"""


def measure(name: str, database: str, runs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as folder:
        installation = Installation(Path(folder), lease=60, instant=True, database=database)
        installation.environment["OMI_LOG_LEVEL"] = "ERROR"
        # What is measured is not to look for the tests' faults and to write down its calls.
        del installation.environment["OMI_FAULTS_DIR"], installation.environment["FAKES_LOG"]
        try:
            own = installation.python(OWN_TIME.format(runs=max(30, runs // 4)), timeout=300)
        finally:
            installation.close()
    return {"database": name, **own}


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
        f"{counts['transactions']} transactions",
        f"parts (ms of processor time of ms of time; with timers): {told}; other Python {rest:.1f}; "
        f"all {parts['all'][1]:.1f} of {parts['all'][0]:.1f}",
    ]


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
            with postgres_cluster() as url:
                fill_postgres(url)
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
    print(f"({time.perf_counter() - began:.0f} s, vendors and speech engines answering at once, load {load})")


if __name__ == "__main__":
    main()
