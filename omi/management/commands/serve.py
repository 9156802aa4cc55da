"""``manage.py serve``: web and worker together, watched, restarted, and stopped cleanly."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from django.db import Error, connection

from memories.pipeline import counters, recovery
from memories.pipeline.operations.supervisor import CLUSTER_VARIABLE, ClusterWatch, Group, Guardian
from omi.core import addresses, open_files
from omi.shared_metrics.counters import flush
from transcription.hosts import heartbeats
from transcription.session import host_upkeep

log = structlog.get_logger(__name__)

TOO_SOON = 5.0  # a server that ends within this many seconds did not start
TRIES = 3
BACKLOG = 2048
"""Connections that the kernel takes before daphne does. Twisted's 50 leave a crowd that comes back at once to TCP's own
retries, which double from one second on."""
LONGEST_PAUSE = 10.0
COUNTS_EVERY = 5.0
"""Seconds between two hand-overs of what this process counted: no web server sees its memory."""
FEW_FILES = 4096
"""Open files below which a few hundred sockets are too many: each live conversation needs about five."""


def pause(failures: int) -> float:
    """Seconds before a server is started again that ended ``failures`` times in a row right after its start."""
    return 0.0 if failures <= 1 else float(min(LONGEST_PAUSE, 0.25 * 2**failures))


class Command(BaseCommand):
    help = "Run the web server (daphne) and the worker (qcluster) until Ctrl-C or SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--port", type=int, default=settings.OMI_PORT, help="default OMI_PORT")
        parser.add_argument("--no-web", action="store_true", help="the worker only")
        parser.add_argument("--no-worker", action="store_true", help="the web server only")
        parser.add_argument("--no-migrate", action="store_true", help="leave the database as it is")
        parser.add_argument("--grace", type=float, default=30.0, help="seconds for work to end when stopping")
        parser.add_argument("--patience", type=float, default=60.0, help="seconds of silence before a restart")
        parser.add_argument("--look", type=float, default=2.0, help="seconds between two looks at runs and worker")

    def handle(self, **options: Any) -> None:
        if options["no_web"] and options["no_worker"]:
            raise CommandError("Nothing to serve: --no-web and --no-worker exclude each other.")
        if not options["no_web"] and not settings.SECRET_KEY_GIVEN and not addresses.is_loopback(options["host"]):
            raise CommandError(
                f"{options['host']} can be reached from outside, and this installation has only the key that it made "
                "for itself. Set SECRET_KEY (50 characters or more), or serve on 127.0.0.1."
            )
        self._stops = 0
        limit = open_files.raise_limit()  # the children inherit it
        if limit < FEW_FILES:
            log.warning("few_open_files", limit=limit, wanted=open_files.WANTED)
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        if not options["no_migrate"]:
            call_command("migrate", interactive=False, verbosity=0)
        name = f"{socket.gethostname()[:40]}:{os.getpid()}"
        environment = {**os.environ, CLUSTER_VARIABLE: name, "PYTHONUNBUFFERED": "1"}
        groups: list[Group] = []
        guardian = Guardian(options["grace"])
        worker: Group | None = None
        if not options["no_web"]:
            host = options["host"].replace(":", r"\:")  # an IPv6 address, in Twisted's notation
            address = ["-e", f"tcp:port={options['port']}:interface={host}:backlog={BACKLOG}"]
            groups.append(
                Group("web", [sys.executable, "-m", "daphne", *address, "omi.asgi:application"], environment, guardian)
            )
        if not options["no_worker"]:
            # Not checked again: that loads every route and page of the web, which is a third of a worker's start.
            cluster = [sys.executable, "manage.py", "qcluster", "--skip-checks"]
            worker = Group("worker", cluster, environment, guardian)
            groups.append(worker)
        os.chdir(settings.BASE_DIR)
        connection.close()  # the children open their own
        try:
            for group in groups:
                group.start()
            if not options["no_web"]:
                self._say("serving", f"Serving on http://{options['host']}:{options['port']} - Ctrl-C stops.")
            self._watch(groups, worker, name, options["patience"], options["look"])
        finally:
            # The web server first: no new work comes in while the worker ends what it has.
            for group in groups:
                group.stop(options["grace"], impatient=lambda: self._stops > 1)
            if self._stops <= 1:
                host_upkeep.leave()
            guardian.close()
            self._say("stopped", "Stopped.")

    def _say(self, event: str, sentence: str) -> None:
        """A sentence to whoever watches; a line like every other where a program reads."""
        if self.stdout.isatty():
            self.stdout.write(sentence)
        else:
            log.info(event, sentence=sentence)

    def _on_signal(self, number: int, frame: object) -> None:
        self._stops += 1

    def _watch(self, groups: list[Group], worker: Group | None, name: str, patience: float, look: float) -> None:
        """Look after processes. Nothing here waits for a database, a store or a vendor: threads of their own do."""
        watch = None
        if worker:
            group = worker
            watch = ClusterWatch(
                name, lambda: group.pid, interval=min(5.0, patience / 4), patience=patience,
                acknowledge=min(30.0, patience),
            )  # fmt: skip
        hangs: queue.SimpleQueue[str] = queue.SimpleQueue()
        background("watch", look, lambda: _look_at_runs(watch, hangs))
        background("ends", look, recovery.notify_ends)
        background("counts", COUNTS_EVERY, flush)
        if heartbeats.kept():
            background("host", host_upkeep.HEARTBEAT_SECONDS, host_upkeep.tick)
        failures = dict.fromkeys((group.name for group in groups), 0)
        restart_at: dict[str, float] = {}
        while not self._stops:
            for group in groups:
                code = group.ended()
                if code is None or time.monotonic() < restart_at.get(group.name, 0.0):
                    continue
                if group.name not in restart_at:
                    early = time.monotonic() - group.started_at < TOO_SOON
                    failures[group.name] = failures[group.name] + 1 if early else 0
                    log.error("server_ended", process=group.name, code=code)
                    # A server that ends by itself does not start. One that is killed from outside (the kernel, short of
                    # memory) may live next time: it is tried for ever, at growing intervals.
                    if failures[group.name] >= TRIES and code >= 0:
                        raise CommandError(f"The {group.name} server does not start (exit code {code}).")
                    restart_at[group.name] = time.monotonic() + pause(failures[group.name])
                    continue
                del restart_at[group.name]
                group.restart()  # kills what the first process left behind
                counters.RESTARTS.inc(group.name)
                if watch and group is worker:
                    watch.fresh()
            while not hangs.empty():
                reason = hangs.get()
                if watch and worker:
                    log.error("worker_hangs", reason=reason)
                    failures[worker.name] = 0  # it did start, and lived until it hung
                    worker.restart()
                    counters.RESTARTS.inc(worker.name)
                    watch.fresh()
            time.sleep(min(0.2, look))


def background(name: str, seconds: float, function: Callable[[], object]) -> None:
    """Call ``function`` every ``seconds`` in a thread that ends with the process. What it raises is logged; a database
    out of reach is nothing that a restart of a server could mend."""

    def run() -> None:
        while True:
            try:
                function()
            except Exception as error:
                log.error("watch_failed", part=name, error=type(error).__name__, exc_info=not isinstance(error, Error))
            with contextlib.suppress(Exception):
                connection.close()
            time.sleep(seconds)

    threading.Thread(target=run, name=name, daemon=True).start()


def _look_at_runs(watch: ClusterWatch | None, hangs: queue.SimpleQueue[str]) -> None:
    recovery.end_hung_workers()
    recovery.release_dead_workers()
    report = recovery.resend_lost()
    if report.resent or report.ended or report.admitted:
        log.info("reconciled", **report.as_dict())
    reason = watch.look() if watch else ""
    if reason:
        hangs.put(reason)
