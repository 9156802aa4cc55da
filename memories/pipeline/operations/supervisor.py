"""Keeping a cluster alive from outside: process groups, and our own proof that work still flows.

Django-Q2 says "Working" while it hangs for ever (its next-in-line worker or its monitor was killed),
so its own status is not asked. A beat is sent through the queue; it must come out of one of *our* workers, and its row
must be acknowledged by our monitor. If not, the whole process group is killed and started again: at-least-once delivery
and the fences make that safe at any moment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from memories.pipeline.engine import queue
from memories.pipeline.engine.lease import machine
from memories.pipeline.models import ClusterBeat, PostProcessingRun
from memories.pipeline.states import State

log = structlog.get_logger(__name__)

CLUSTER_VARIABLE = "OMI_CLUSTER_ID"
BEAT = "memories.pipeline.tasks.beat"


def _die_with_parent() -> None:  # pragma: no cover - runs between fork and exec
    # If serve itself is killed, its servers are asked to stop (Linux; elsewhere they live on).
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Guardian:
    """The process that ends what a killed supervisor leaves behind (``guardian``)."""

    def __init__(self, grace: float) -> None:
        program = Path(__file__).with_name("guardian.py")
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", str(program), str(grace)], stdin=subprocess.PIPE, start_new_session=True
        )

    def tell(self, sign: str, pid: int) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{sign}{pid}\n".encode())
            self._process.stdin.flush()
        except OSError as error:
            log.error("guardian_gone", error=type(error).__name__)

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()


class Group:
    """A command in a process group of its own, ended and killed as a whole."""

    def __init__(
        self, name: str, command: Sequence[str], environment: dict[str, str], guardian: Guardian | None = None
    ) -> None:
        self.name = name
        self._guardian = guardian
        self._command, self._environment = list(command), environment
        self._process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, env=self._environment, start_new_session=True, preexec_fn=_die_with_parent
        )
        if self._guardian is not None:
            self._guardian.tell("+", self._process.pid)
        self.started_at = time.monotonic()
        log.info("started", process=self.name, pid=self._process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def ended(self) -> int | None:
        """The exit code, or None while the first process lives."""
        return self._process.poll() if self._process else None

    def ask(self) -> None:
        """SIGTERM to the first process: it ends its children in its own way."""
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL to every process of the group, orphans included."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        if self._guardian is not None:
            self._guardian.tell("-", self._process.pid)

    def alive(self) -> bool:
        """Whether any process of the group lives."""
        self.ended()
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def stop(self, grace: float, impatient: Callable[[], bool] = lambda: False) -> None:
        """Ask, wait up to ``grace`` seconds, kill what is left."""
        self.ask()
        until = time.monotonic() + grace
        while self.ended() is None and time.monotonic() < until and not impatient():
            time.sleep(0.1)
        self.kill()

    def restart(self) -> None:
        self.kill()
        self.start()


@dataclass(slots=True)
class ClusterWatch:
    """Decides whether a cluster hangs. ``look`` returns a reason to restart it, or ""."""

    name: str
    group: Callable[[], int]
    interval: float = 5.0
    patience: float = 60.0
    acknowledge: float = 30.0
    _number: int = 0
    _row: int = 0
    _sent_at: float = 0.0
    _seen: tuple[int, float] = field(default=(0, 0.0))
    _executed: dict[int, float] = field(default_factory=dict)
    _alive_at: float = field(default_factory=time.monotonic)
    _in_vain: int = 0

    def fresh(self) -> None:
        """The cluster was started just now."""
        self._alive_at = time.monotonic()
        self._executed.clear()
        self._row = 0

    def look(self) -> str:
        now = time.monotonic()
        beat = ClusterBeat.objects.filter(pk=self.name).first()
        sign = (beat.number, beat.at.timestamp()) if beat else (0, 0.0)
        if sign != self._seen:
            self._seen, self._alive_at, self._in_vain = sign, now, 0
        outstanding = bool(self._row) and _queued(self._row)
        if outstanding and beat is not None and beat.number == self._number:
            began = self._executed.setdefault(self._number, now)
            if now - began > self.acknowledge:
                return "its monitor acknowledges nothing"
        # A machine on which a cluster needs longer than this to start must not start it for ever: each restart after
        # which nothing was heard doubles the patience, a sign of life ends that.
        if now - self._alive_at > self.patience * 2 ** min(self._in_vain, 4):
            if self._busy() >= settings.Q_WORKERS:
                self._alive_at = now  # every worker is at work under a lease that is being renewed
            else:
                self._in_vain += 1
                return "no message reaches a worker"
        if not outstanding and now - self._sent_at >= self.interval:
            self._send(now)
        return ""

    def _send(self, now: float) -> None:
        from django_q.models import OrmQ

        self._number += 1
        self._executed.clear()
        with transaction.atomic():
            before = OrmQ.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
            queue.send(BEAT, self.name, self._number)
            self._row = OrmQ.objects.filter(pk__gt=before).order_by("-pk").values_list("pk", flat=True).first() or 0
        self._sent_at = now

    def _busy(self) -> int:
        """Leases that living processes of this group hold, by the time until which they hold them."""
        held = PostProcessingRun.objects.filter(
            state=State.RUNNING, lease_owner__startswith=f"{machine()}:", lease_until__gt=timezone.now()
        )
        return sum(1 for owner in held.values_list("lease_owner", flat=True) if _group_of(owner) == self.group())


def _queued(row: int) -> bool:
    from django_q.models import OrmQ

    return bool(OrmQ.objects.filter(pk=row).exists())


def _group_of(owner: str) -> int:
    try:
        return os.getpgid(int(owner.split(":")[2]))
    except (ValueError, IndexError, OSError):
        return 0
