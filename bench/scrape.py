"""What a scrape of ``/metrics`` costs as the tables grow, while no worker adds anything to the totals.

``python -m bench.scrape`` fills a SQLite database in a temporary folder with vendor calls (``--calls``, several sizes
one after the other) and a tenth as many runs that wait, each with three steps and attempts, runs that were given up,
messages of the queue, offline batches, open erasures and memories that are to be indexed. It prints the median time of
a scrape, its statements and the instructions of SQLite's virtual machine, and how they compare with the first size.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

BATCH: Final = 5000
EVERY: Final = 100
"""Instructions of SQLite between two calls of the handler that counts them."""


def fill(first: int, last: int) -> None:
    """Add the rows number ``first`` to ``last`` (without it) of each kind but calls. Django is set up."""
    from django.utils import timezone
    from django_q.models import OrmQ

    from memories.mirror.models import ErasureReceipt, MemoryRow
    from memories.offline.models import SyncBatch
    from memories.pipeline.engine import queue
    from memories.pipeline.models import PostProcessingRun, RunStep, StepAttempt
    from memories.pipeline.states import State

    now, key = timezone.now(), queue.broker().list_key
    attempt = {"number": 1, "fence": 1, "worker": "w", "started_at": now, "finished_at": now, "seconds": 0.2}
    batch = {"language": "en", "state": "queued", "created_at": now, "expires_at": now, "due_at": now}

    def run(number: int, **fields: Any) -> PostProcessingRun:
        made = {"uid": "bench", "memory_id": f"m{number}", "kind": "postprocess", "actor": "bench", **fields}
        return PostProcessingRun(max_claims=5, **made)

    for start in range(first, last, BATCH):
        numbers = range(start, min(start + BATCH, last))
        runs = [run(number, state=State.WAITING, due_at=now) for number in numbers]
        ended = {"state": State.FINISHED, "outcome": "upstream_error", "finished_at": now, "dead_letter": True}
        runs += [run(number, counted=True, **ended) for number in numbers]
        PostProcessingRun.objects.bulk_create(runs)
        steps = [
            RunStep(run=waiting, name=name, position=position)
            for waiting in runs[: len(numbers)]
            for position, name in enumerate(("gather", "prepare_audio", "transcribe"))
        ]
        RunStep.objects.bulk_create(steps)
        made = [StepAttempt(step=step, result="done", outcome="success", **attempt) for step in steps]
        StepAttempt.objects.bulk_create(made)
        OrmQ.objects.bulk_create(
            OrmQ(key=key, payload="x" * 200, lock=now - timedelta(seconds=number % 600 + 1)) for number in numbers
        )
        SyncBatch.objects.bulk_create(
            SyncBatch(id=f"b{number}", uid="bench", request="", **batch) for number in numbers
        )
        ErasureReceipt.objects.bulk_create(ErasureReceipt(subject=f"s{number}", kind="memory") for number in numbers)
        rows = (MemoryRow(uid="bench", memory_id=f"m{number}", created_at=now) for number in numbers)
        MemoryRow.objects.bulk_create(rows)


def fill_calls(count: int) -> None:
    """Add calls that have ended and stand in no total."""
    from django.utils import timezone

    from memories.pipeline.models import VendorCall

    given: dict[str, Any] = {"uid": "bench", "step": "", "fence": 0, "vendor": "v", "operation": "o"}
    given |= {"outcome": "success", "latency": 0.3, "cost": 0.001, "started_at": timezone.now()}
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        VendorCall.objects.bulk_create(VendorCall(request_key=str(number), **given) for number in numbers)


def collectors() -> list[Any]:
    """A new one of each of the project's collectors: those of the process remember for seconds what they read."""
    from prometheus_client import REGISTRY

    from omi.shared_metrics.collectors import RowCollector

    libraries = ("prometheus_client.", "django_prometheus.")
    own = [item for item in list(REGISTRY._collector_to_names) if not type(item).__module__.startswith(libraries)]
    rows = [RowCollector(item.families) for item in own if isinstance(item, RowCollector)]
    return [*rows, *(kind() for kind in sorted({type(item) for item in own} - {RowCollector}, key=str))]


def scrape() -> dict[str, Any]:
    """One scrape by new collectors: seconds, SELECT statements, instructions of SQLite (None elsewhere), the text."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    for collector in collectors():
        registry.register(collector)
    instructions = 0

    def count() -> int:
        nonlocal instructions
        instructions += EVERY
        return 0

    connection.ensure_connection()
    sqlite = connection.connection if connection.vendor == "sqlite" else None
    if sqlite is not None:
        sqlite.set_progress_handler(count, EVERY)
    try:
        with CaptureQueriesContext(connection) as captured:
            began = time.perf_counter()
            told = generate_latest(registry).decode()
            took = time.perf_counter() - began
    finally:
        if sqlite is not None:
            sqlite.set_progress_handler(None, 0)
    asked = [query["sql"] for query in captured if query["sql"].startswith("SELECT")]
    return {"seconds": took, "asked": asked, "instructions": instructions if sqlite is not None else None, "told": told}


def measure(rounds: int) -> dict[str, Any]:
    seen = [scrape() for _ in range(rounds)]
    return {
        "ms": round(1000 * statistics.median(one["seconds"] for one in seen), 1),
        "statements": len(seen[-1]["asked"]),
        "instructions": seen[-1]["instructions"],
        "behind": sorted(
            line for line in seen[-1]["told"].splitlines() if line.startswith("memory_pipeline_figures_b")
        ),
    }


def compared(sizes: Iterable[int], rounds: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    had = 0
    for size in sizes:
        fill(had // 10, size // 10)
        fill_calls(size - had)
        had = size
        found.append({"calls": size, "of_each_other": size // 10, **measure(rounds)})
        found[-1]["times_the_first"] = round(found[-1]["ms"] / found[0]["ms"], 2)
        sys.stderr.write(json.dumps(found[-1]) + "\n")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", default="1000,100000,1000000", help="sizes, growing")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="omi-bench-scrape-")
    os.environ["OMI_DATA_DIR"] = folder
    os.environ.setdefault("OMI_LOG_LEVEL", "ERROR")
    os.environ.setdefault("SECRET_KEY", "bench-only-" + "x" * 40)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "omi.settings")
    try:
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        found = compared([int(size) for size in options.calls.split(",")], options.rounds)
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
