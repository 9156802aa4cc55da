"""The one function that changes a run's state, along the table ``states.ALLOWED``."""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import ALLOWED, State
from omi.core import clock
from omi.core.errors import Outcome


def change(run_id: int, to: State, *, when: Q, **fields: Any) -> bool:
    """Move run ``run_id`` to ``to`` if it is in a state that allows it and ``when`` holds; False if it does not.

    One conditional UPDATE: two processes cannot both succeed. The fields that belong to a state only (lease, due time,
    outcome) are put in order here, and the database's constraints stand behind it.
    """
    origins = [state for state, following in ALLOWED.items() if to in following]
    if to is not State.RUNNING:
        fields |= {"lease_owner": "", "lease_until": None, "step_started_at": None}
    if to is not State.WAITING:
        fields["due_at"] = None
    if to is State.FINISHED:
        Outcome(fields["outcome"])  # ValueError for a word outside the vocabulary
        fields.setdefault("finished_at", clock.now())
    changed = PostProcessingRun.objects.filter(when, pk=run_id, state__in=origins).update(state=to, **fields)
    return changed == 1
