"""Vendors that answer when the test says so, and what the tests of late answers look at. Fixtures to import."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline import runner, service
from memories.pipeline.models import PostProcessingRun, RunStep, VendorCall
from memories.pipeline.vendor_calls import in_flight
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, copied

PATIENCE = 0.2
VENDOR = {"transcribe": "first", "structure": "structurer", "index": "embedder", "emotions": "emotions"}
OPERATION = {"transcribe": "submit", "structure": "structure", "index": "embed", "emotions": "measure"}
Begin = Callable[..., PostProcessingRun]


class Gate:
    """``gate(answer)`` is a script entry: the vendor was reached (``reached``) and answers once the gate is open."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self, answer: Any = None) -> Callable[[], Any]:
        def wait() -> Any:
            self.reached.set()
            assert self._open.wait(30), "nobody opened the gate"
            if isinstance(answer, Exception):
                raise answer
            return answer

        return wait

    def open(self) -> None:
        self._open.set()

    def answers(self) -> None:
        """Open, and wait until every thread has handed in what it has."""
        self.open()
        until(lambda: in_flight.count() == 0)


def until(done: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


@pytest.fixture
def gate(settings: Any) -> Iterator[Gate]:
    settings.OMI_CALL_PATIENCE_SECONDS = PATIENCE
    made = Gate()
    yield made
    made.answers()


@pytest.fixture
def begin(memory: Any, upload: Any, heard: Any, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """A run whose step ``slow`` is answered when the gate is open; the other vendors answer at once."""
    monkeypatch.setattr("transcription.audio.convert.decode_to_wav", copied)
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]

    def start(slow: str = "", action: Any = None, **options: Any) -> PostProcessingRun:
        if slow:
            fakes.SCRIPT[VENDOR[slow]] = [action]
        options.setdefault("emotional_feedback", True)
        return service.start("postprocess", UID, MEMORY, actor="test", audio=upload(), options=options)

    return start


def suspend(run: PostProcessingRun) -> PostProcessingRun:
    """A worker takes the run, asks the slow vendor, and lets it wait."""
    assert runner.work(run.pk) == "waiting"
    run.refresh_from_db()
    assert run.state == "waiting"
    return run


def at_work(run: PostProcessingRun) -> RunStep:
    return run.steps.get(name=run.current_step)


def due(run: PostProcessingRun) -> None:
    PostProcessingRun.objects.filter(pk=run.pk).update(due_at=timezone.now())


def called_back(run: PostProcessingRun) -> bool:
    run.refresh_from_db()
    return run.state == "queued"


def answers() -> list[VendorCall]:
    """Calls whose late answer no step has used yet."""
    return list(VendorCall.objects.filter(answer__isnull=False))


def pending() -> VendorCall:
    """The one call that is out."""
    return VendorCall.objects.exclude(owner="").get()
