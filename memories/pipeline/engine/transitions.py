"""Which state may follow which: one table, one function. Everything that changes a run's state comes through here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone

from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import State
from omi.core import rows
from omi.core.errors import Outcome

ALLOWED: Final[dict[State, frozenset[State]]] = {
    State.QUEUED: frozenset({State.RUNNING, State.FINISHED}),
    State.RUNNING: frozenset({State.RUNNING, State.WAITING, State.QUEUED, State.FINISHED}),
    State.WAITING: frozenset({State.RUNNING, State.QUEUED, State.FINISHED}),
    State.FINISHED: frozenset(),
}
"""RUNNING to RUNNING is a takeover after the lease ran out; RUNNING to QUEUED a worker that shuts down."""


def change(run_id: int, to: State, *, when: Q | Mapping[str, Any], **fields: Any) -> bool:
    """Move run ``run_id`` to ``to`` if it is in a state that allows it and ``when`` holds; False if it does not.

    ``when`` is a Q, or (for a worker's own run, which is written often) the fields' values, its state among them.

    One conditional UPDATE: two processes cannot both succeed. The fields that belong to a state only (lease, wake
    time, outcome) are put in order here, and the database's constraints stand behind it.
    """
    origins = [state for state, following in ALLOWED.items() if to in following]
    if to is not State.RUNNING:
        fields |= {"lease_owner": "", "lease_until": None, "step_started_at": None}
    if to is not State.WAITING:
        fields["wake_at"] = None
    if to is State.FINISHED:
        Outcome(fields["outcome"])  # ValueError for a word outside the vocabulary
        fields.setdefault("finished_at", timezone.now())
    if not isinstance(when, Q):
        if when["state"] not in origins:
            return False
        return rows.update(PostProcessingRun, {"state": to, **fields}, {**when, "id": run_id}) == 1
    changed = PostProcessingRun.objects.filter(when, pk=run_id, state__in=origins).update(state=to, **fields)
    return changed == 1
