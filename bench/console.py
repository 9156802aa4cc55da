"""How long the console's home and the pages behind it take at a million runs.

    python -m bench.console [RUNS] [sqlite|postgres]

Fills a database of its own (SQLite in a temporary folder, or PostgreSQL where its programs are installed) with runs
that ended, 7,000 failures of one kind among them, and some that are stuck; then asks for the page as a browser would.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from datetime import timedelta

RUNS = 1_000_000
FAILED = 7_000
STUCK = 300
ROUNDS = 15


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    kinds = sys.argv[2:] or ["sqlite", "postgres"]
    for kind in kinds:
        if os.fork() == 0:  # each database needs settings, and so a process, of its own
            _one(kind, count)
            os._exit(0)
        os.wait()


def _one(kind: str, count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-console-") as folder:
        os.environ["OMI_DATA_DIR"], os.environ["OMI_LOG_LEVEL"] = folder, "ERROR"
        os.environ["DJANGO_SETTINGS_MODULE"] = "omi.settings"
        if kind == "postgres":
            from tests.support.processes import Unavailable
            from tests.support.services import postgres_cluster  # a real server, as the tests start one

            try:
                with postgres_cluster() as url:
                    os.environ["DATABASE_URL"] = url
                    _measure(kind, count)
            except (OSError, Unavailable) as error:
                print(f"postgres: not here ({error})")
            return
        os.environ.pop("DATABASE_URL", None)
        _measure(kind, count)


def _measure(kind: str, count: int) -> None:
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from memories.models import MemoryRow

    call_command("migrate", verbosity=0)
    began = time.perf_counter()
    _fill(count)
    print(f"{kind}: {count:,} runs written in {time.perf_counter() - began:.0f} s", flush=True)
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.create_superuser("bench"))
    failed = MemoryRow.objects.get(memory_id="m-1")
    for name, address in (("home", "/admin/"), ("failures", "/admin/console/failures/"),
                          ("vendors", "/admin/console/vendors/"), ("people", "/admin/console/people/"),
                          ("person", f"/admin/console/people/{failed.uid}/"),
                          ("memory", f"/admin/memories/memoryrow/{failed.pk}/change/"),
                          ("memories", "/admin/memories/memoryrow/"),
                          ("runs", "/admin/pipeline/postprocessingrun/")):  # fmt: skip
        client.get(address)
        took, worked = [], []
        for _ in range(ROUNDS):
            at, busy = time.perf_counter(), time.process_time()
            answer = client.get(address)
            took.append((time.perf_counter() - at) * 1000)
            worked.append((time.process_time() - busy) * 1000)
        with CaptureQueriesContext(connection) as queries:
            client.get(address)
        assert answer.status_code == 200
        slowest = max(queries.captured_queries, key=lambda item: float(item["time"]))
        print(
            f"{kind}: {name}: median {statistics.median(took):.0f} ms, processor {statistics.median(worked):.0f}; "
            f"worst {max(took):.0f} ms of {ROUNDS}, "
            f"{len(queries)} queries, slowest {float(slowest['time']) * 1000:.0f} ms", flush=True,
        )  # fmt: skip
        if float(slowest["time"]) > 0.05:
            print(f"   {slowest['sql'][:300]}")
    text = client.get("/admin/").content.decode()
    lines = text.count("vendor_quota in transcribe")
    print(f"{kind}: {FAILED:,} failures of one kind are {lines} line", flush=True)


def _fill(count: int) -> None:
    from django.db import connection
    from django.utils import timezone

    from memories.console.models import FailedRun, FailureGroup, FailureHour
    from memories.models import MemoryRow
    from memories.pipeline.models import PostProcessingRun

    now = timezone.now()
    template = PostProcessingRun.objects.create(
        uid="template", memory_id="template", kind="postprocess", state="finished", outcome="success",
        message_id="success", actor="bench", plan=[], current_step="transcribe", notified=True, counted=True,
        finished_at=now,
    )  # fmt: skip
    columns = [field.column for field in PostProcessingRun._meta.concrete_fields if field.column not in (None, "id")]
    quota = f"CASE WHEN n.i < {FAILED} THEN '{{}}' ELSE 'success' END"
    made = {
        "uid": "'user-' || (n.i % 5000)",
        "memory_id": "'m-' || n.i",
        "outcome": quota.format("quota"),
        "message_id": quota.format("vendor_quota"),
    }
    numbers = (
        f"SELECT i FROM generate_series(0, {count - 1}) AS i"
        if connection.vendor == "postgresql"
        else f"WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < {count - 1}) SELECT i FROM c"
    )
    listed = ", ".join(f'"{name}"' for name in columns)
    chosen = ", ".join(made.get(name, f't."{name}"') for name in columns)
    with connection.cursor() as cursor:  # a million rows by the ORM take minutes
        cursor.execute(
            f"INSERT INTO pipeline_postprocessingrun ({listed}) "
            f"SELECT {chosen} "
            f"FROM pipeline_postprocessingrun t, ({numbers}) n WHERE t.id = {template.pk}"
        )
    group = FailureGroup.objects.create(
        step="transcribe", vendor="fal", message_id="vendor_quota", count=FAILED, users=5000, first_seen=now,
        last_seen=now,
    )  # fmt: skip
    failed = PostProcessingRun.objects.filter(outcome="quota").values_list("pk", "uid")
    FailedRun.objects.bulk_create(
        [FailedRun(run_id=pk, group=group, uid=uid, at=now) for pk, uid in failed], batch_size=2000
    )
    hour = now.replace(minute=0, second=0, microsecond=0)
    FailureHour.objects.bulk_create(
        FailureHour(group=group, hour=hour - timedelta(hours=back), count=FAILED // 24) for back in range(24)
    )
    PostProcessingRun.objects.bulk_create(
        PostProcessingRun(uid=f"stuck-{number}", memory_id="m", kind="reprocess", actor="bench", plan=[])
        for number in range(STUCK)
    )
    PostProcessingRun.objects.filter(uid__startswith="stuck").update(created_at=now - timedelta(hours=2))
    MemoryRow.objects.bulk_create(
        [MemoryRow(uid=f"user-{n % 5000}", memory_id=f"m-{n}", created_at=now) for n in range(50_000)], batch_size=2000
    )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


if __name__ == "__main__":
    main()
