"""The words of a run's life: its kind, its state and which may follow it, the state of a step.

How it ended is ``omi.core.errors.Outcome``.
"""

from __future__ import annotations

from typing import Final

from django.db import models

from omi.core.errors import Outcome


class Kind(models.TextChoices):
    """The kinds of runs, each with a plan of its own (``engine.plans``)."""

    CAPTURE = "capture", "Capture: a finished conversation becomes a memory"
    POSTPROCESS = "postprocess", "Post-processing of an uploaded recording"
    REPROCESS = "reprocess", "Structure and index again"


class State(models.TextChoices):
    """The states of a run."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    WAITING = "waiting", "Waiting"
    FINISHED = "finished", "Finished"


ALLOWED: Final[dict[State, frozenset[State]]] = {
    State.QUEUED: frozenset({State.RUNNING, State.FINISHED}),
    State.RUNNING: frozenset({State.RUNNING, State.WAITING, State.QUEUED, State.FINISHED}),
    State.WAITING: frozenset({State.RUNNING, State.QUEUED, State.FINISHED}),
    State.FINISHED: frozenset(),
}
"""RUNNING to RUNNING is a reclaim after the lease ran out; RUNNING to QUEUED a worker that shuts down."""


class StepState(models.TextChoices):
    """The states of one step of a run."""

    PENDING = "pending", "Pending"
    WAITING = "waiting", "Waiting"
    DONE = "done", "Done"
    SKIPPED = "skipped", "Skipped"
    FAILED = "failed", "Failed"


ENDED = (StepState.DONE, StepState.SKIPPED)
"""States in which a step lets the next one begin. An optional step that failed counts as done with its outcome."""

OUTCOMES = [(outcome.value, outcome.value.replace("_", " ").capitalize()) for outcome in Outcome]
GOOD = (Outcome.SUCCESS.value, Outcome.EXPECTED_SILENCE.value)
