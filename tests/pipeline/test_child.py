"""Local work has a time limit that really stops it: in a child process, which is killed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memories.pipeline import service, subprocess_runner
from memories.pipeline.models import PostProcessingRun, StepAttempt
from memories.pipeline.steps import structure
from memories.repository import memories as repository
from memories.repository import processing
from memories.shapes import Memory, ProcessingMemory
from omi.core.errors import Outcome, OwnFault
from tests.pipeline import child_work
from tests.pipeline.conftest import MEMORY, UID, live_segments

WORK = "tests.pipeline.child_work"
Drive = Callable[..., PostProcessingRun]


def ask(name: str, *, timeout: float = 60.0, **arguments: Any) -> Any:
    return subprocess_runner.call(f"{WORK}.{name}", arguments, timeout=timeout)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_one_child_serves_all_calls_and_what_it_prints_is_no_answer() -> None:
    first = ask("pid")
    assert ask("chatter", text="a\nb\u2028ü") == "a\nb\u2028ü"
    assert ask("pid") == first != os.getpid()


def test_work_that_takes_too_long_is_killed_and_the_next_begins_anew() -> None:
    before, began = ask("pid"), time.monotonic()
    with pytest.raises(OwnFault) as told:
        ask("hang", timeout=1.0)
    assert time.monotonic() - began < 20
    assert (told.value.code, told.value.outcome) == (subprocess_runner.TOO_LONG, Outcome.TIMEOUT)
    assert gone(before)
    assert ask("pid") != before


def test_a_child_that_dies_and_a_function_that_fails_are_told_apart() -> None:
    with pytest.raises(OwnFault, match="ended unexpectedly") as died:
        ask("die")
    assert died.value.code == "child_exit_3"
    with pytest.raises(subprocess_runner.Crashed, match="ValueError: wrong"):
        ask("fail")


def test_a_child_ends_with_its_parent_though_it_hangs() -> None:
    parent = os.fork()
    if not parent:
        try:
            subprocess_runner.call(f"{WORK}.hang", {}, timeout=60.0)
        finally:
            os._exit(1)
    until = time.monotonic() + 30
    while not (found := children_of(parent)) and time.monotonic() < until:
        time.sleep(0.05)
    [hanging] = found
    time.sleep(1.0)  # it has begun
    os.kill(parent, 9)
    os.waitpid(parent, 0)
    until = time.monotonic() + 60
    while not ended(hanging) and time.monotonic() < until:
        time.sleep(0.05)
    assert ended(hanging)


def children_of(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def converse(text: str) -> PostProcessingRun:
    now = datetime.now(UTC)
    processing.create(
        UID, ProcessingMemory(id="p1", created_at=now, timer_start=now.timestamp(),
                              transcript_segments=live_segments(text)),
    )  # fmt: skip
    return service.start("capture", UID, MEMORY, actor="test", options={"processing_memory_id": "p1"})


@pytest.fixture
def rules(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PROVIDERS = {**settings.PROVIDERS, **child_work.PROVIDERS}
    monkeypatch.setattr(structure, "COMPUTING", 2.0)


@pytest.mark.django_db
def test_rules_of_this_machine_make_a_title_in_the_child(rules: None, memory: Memory, drive: Drive) -> None:
    assert drive(service.start("reprocess", UID, MEMORY, actor="test")).outcome == "success"
    assert repository.get_memory(UID, MEMORY).structured.title == "A title"


@pytest.mark.django_db
def test_a_text_that_hangs_the_rules_is_given_up_after_two_tries(rules: None, drive: Drive) -> None:
    """Two such memories stopped both workers, and nobody else's run ended."""
    began = time.monotonic()
    run = drive(converse("this goes on for ever " + "and on " * 40))
    assert time.monotonic() - began < 60
    tries = StepAttempt.objects.filter(step__run=run, step__name="structure").order_by("id")
    assert [(item.result, item.error_code) for item in tries] == [
        ("retry", subprocess_runner.TOO_LONG),
        ("done", subprocess_runner.TOO_LONG),
    ]
    assert (run.outcome, run.message_id) == ("success", "summary_by_rules"), "the conversation is kept all the same"
    shown = repository.get_memory(UID, MEMORY)
    assert shown.transcript_segments
    assert shown.structured.title
