"""A server that serve starts again is counted: nobody who scrapes a web server sees a worker end."""

from __future__ import annotations

import queue
import time

import pytest

from memories.pipeline.counters import RESTARTS
from omi.management.commands import serve
from omi.management.commands.serve import Command
from omi.shared_metrics import counters

pytestmark = pytest.mark.django_db


class Server:
    """A process group that ended once, killed from outside, and stops its supervisor when it is started again."""

    pid, started_at = 0, 0.0

    def __init__(self, name: str, command: Command) -> None:
        self.name, self._command, self._ended = name, command, True

    def ended(self) -> int | None:
        return -9 if self._ended else None

    def restart(self) -> None:
        self._ended = False
        self._command._stops += 1


@pytest.mark.parametrize("name", ["web", "worker"])
def test_each_restart_counts_by_what_was_started_again(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    called: dict[str, object] = {}
    monkeypatch.setattr(serve, "background", lambda what, seconds, function: called.update({what: function}))
    counters.flush()
    before = RESTARTS.totals()
    command = Command()
    command._stops = 0
    server = Server(name, command)
    command._watch([server], server if name == "worker" else None, "here", patience=60, look=0.01)  # type: ignore[list-item,arg-type]
    assert called["counts"] is counters.flush, "nobody scrapes the supervisor: it hands over what it counted"
    counters.flush()
    told = RESTARTS.totals()
    assert {labels: told[labels] - before.get(labels, 0) for labels in told} == {(name,): 1}


class Unsteady:
    """A worker that ends by itself soon after each start but one, in which it lives and hangs."""

    pid, name = 0, "worker"

    def __init__(self, command: Command, hangs: queue.SimpleQueue[str]) -> None:
        self._command, self._hangs = command, hangs
        self._life = iter(["ends"] * (serve.TRIES - 1) + ["hangs"] + ["ends"] * (serve.TRIES - 1))
        self.restart()

    def ended(self) -> int | None:
        if self._now == "hangs":
            self._now = "is found to hang"
            self._hangs.put("no message reaches a worker")
        return 0 if self._now == "ends" else None

    def restart(self) -> None:
        self.started_at = time.monotonic()
        self._now = next(self._life, "")
        if not self._now:
            self._command._stops += 1


def test_a_worker_that_lived_until_it_hung_had_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ended before it does not count among the starts that failed: serve does not give it up."""
    hangs: queue.SimpleQueue[str] = queue.SimpleQueue()
    monkeypatch.setattr(serve.queue, "SimpleQueue", lambda: hangs)
    monkeypatch.setattr(serve, "background", lambda what, seconds, function: None)
    monkeypatch.setattr(serve, "pause", lambda failures: 0.0)
    command = Command()
    command._stops = 0
    worker = Unsteady(command, hangs)
    command._watch([worker], worker, "here", patience=60, look=0.01)  # type: ignore[list-item,arg-type]
    assert command._stops == 1
