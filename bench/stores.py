"""Speed of the stores over the real HTTP API: lists, single reads, search; exact vector search; import.

``python -m bench.stores`` (``make bench-stores``) measures the configured adapters (local by default; set DATABASE_URL,
OMI_DOCUMENTS, OMI_VECTORS and their emulators for others; ``--on postgres`` and ``--on cloud`` start those themselves)
in an empty data folder of its own. Requests go to a daphne of its own over loopback; statements of SQL and requests to
the stores are counted in this process, through the same middleware, routing and rendering.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any


def main() -> int:
    options = arguments().parse_args()
    folder = tempfile.mkdtemp(prefix="omi-bench-stores-")
    os.environ["OMI_DATA_DIR"] = folder
    os.environ.setdefault("OMI_LOG_LEVEL", "ERROR")
    for kind in ("REQUESTS", "SEARCHES", "CREATES"):
        os.environ[f"OMI_{kind}_PER_MINUTE"] = "0"  # one user asks all the time
    os.environ.setdefault("SECRET_KEY", "bench-only-" + "x" * 40)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "omi.settings")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started here is stopped, whatever ends it
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if options.on != "local":
            from bench.stores_services import services

            os.environ.update(stack.enter_context(services(options.on, folder)))
        report = run(options)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    import django

    django.setup()
    from django.core.management import call_command

    from bench import stores_api, stores_vectors

    call_command("migrate", verbosity=0)
    report: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg(),
        "adapters": adapters(),
    }

    def part(name: str, work: Callable[[], Any]) -> None:
        report[name] = work()
        sys.stderr.write(f"{name}: {json.dumps(report[name])}\n")

    sizes = [int(size) for size in options.vectors.split(",") if int(size)]
    if options.memories:
        part("import", lambda: stores_api.bulk_import(options.memories))
        part("api", lambda: stores_api.api(options.memories, options.rounds))
    for size in sizes:
        search = functools.partial(stores_vectors.of_one_user, size, options.dimension, options.rounds)
        part(f"vectors_{size}", search)
    if options.table:
        part("full_table", lambda: stores_vectors.full_table(options.table, options.dimension, options.rounds))
    report["load_after"] = os.getloadavg()
    return report


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", choices=["local", "postgres", "cloud"], default="local")
    parser.add_argument("--memories", type=int, default=100_000, help="memories of one user; 0: leave the API out")
    parser.add_argument("--vectors", default="10000,100000", help="vectors of one user, comma list; 0: none")
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--table", type=int, default=0, help="vectors of all users in the table, e.g. 1000000 (3 GB)")
    parser.add_argument("--rounds", type=int, default=100)
    return parser


def adapters() -> dict[str, str]:
    from django.conf import settings

    return {
        "documents": settings.OMI_DOCUMENTS,
        "vectors": settings.OMI_VECTORS,
        "database": settings.DATABASES["default"]["ENGINE"].rsplit(".", 1)[1],
    }


if __name__ == "__main__":
    raise SystemExit(main())
