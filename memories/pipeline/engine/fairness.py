"""Whose run a free worker takes: users take turns, however many runs one of them has in the queue.

A message of the queue says that there is work, and names a run. Where runs of other users wait, too, the worker takes
the oldest run of the user who has the fewest at work, and among those of who had a turn the longest time ago. There are
as many messages as runs, so that each still has its turn.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from django.db.models import Count, Min

from memories.pipeline.engine import lease
from memories.pipeline.models import PostProcessingRun, UserTurn
from memories.pipeline.states import State
from omi.core import clock

USERS: Final = 200
"""Users whose turns are compared: those whose runs have waited longest."""

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def choose(run_id: int) -> int:
    """The run to work on when the message names ``run_id``."""
    waiting = PostProcessingRun.objects.filter(lease.claimable(clock.now()))
    named = PostProcessingRun.objects.filter(pk=run_id).values_list("uid", flat=True).first()
    if not waiting.exclude(uid=named).exists():
        return run_id
    oldest = dict(
        waiting.order_by().values("uid").annotate(first=Min("id")).order_by("first").values_list("uid", "first")[:USERS]
    )
    at_work = PostProcessingRun.objects.filter(state=State.RUNNING, uid__in=oldest).order_by()
    counts = dict(at_work.values("uid").annotate(count=Count("id")).values_list("uid", "count"))
    turns = dict(UserTurn.objects.filter(uid__in=oldest).values_list("uid", "at"))
    uid = min(oldest, key=lambda each: (counts.get(each, 0), turns.get(each, _NEVER), oldest[each]))
    return run_id if uid == named and waiting.filter(pk=run_id).exists() else oldest[uid]


def took_turn(uid: str) -> None:
    """A worker takes a run of this user. Call it inside the transaction of the claim."""
    now = clock.now()
    if not UserTurn.objects.filter(uid=uid).update(at=now):
        UserTurn.objects.bulk_create(
            [UserTurn(uid=uid, at=now)], update_conflicts=True, unique_fields=["uid"], update_fields=["at"]
        )


def forget_user(uid: str) -> int:
    """Delete the row of an erased user's place in the turns; returns how many rows there were."""
    return int(UserTurn.objects.filter(uid=uid).delete()[0])
