"""Whose run a free worker takes: users take turns, however many runs one of them has in the queue.

A message of the queue says that there is work, and names a run. Where runs of other users wait, too, the worker takes
the oldest run of the user who has the fewest at work, and among those of who has waited longest: since the last turn,
or since the run was asked for, whichever is later. So nobody is overtaken for long, neither by one who asks for much
nor by a stream of users who never had a turn. There are as many messages as runs, so that each still has its turn.
"""

from __future__ import annotations

from typing import Final

from django.db.models import Count, Min

from memories.pipeline.engine import lease
from memories.pipeline.models import PostProcessingRun, UserTurn
from memories.pipeline.states import State
from omi.core import clock

USERS: Final = 200
"""Users whose turns are compared: those whose runs have waited longest."""


def choose(run_id: int) -> int:
    """The run to work on when the message names ``run_id``."""
    now = clock.now()
    waiting = PostProcessingRun.objects.filter(lease.claimable(now))
    named = PostProcessingRun.objects.filter(pk=run_id).values_list("uid", flat=True).first()
    if not waiting.exclude(uid=named).exists():
        return run_id
    of_users = waiting.order_by().values("uid").annotate(first=Min("id"), since=Min("created_at")).order_by("first")
    oldest = {row["uid"]: row for row in of_users[:USERS]}
    # One whose worker died is at work no more: counted, it would keep its user waiting for itself.
    at_work = PostProcessingRun.objects.filter(state=State.RUNNING, uid__in=oldest).exclude(lease.lapsed(now))
    counts = dict(at_work.order_by().values("uid").annotate(count=Count("id")).values_list("uid", "count"))
    turns = dict(UserTurn.objects.filter(uid__in=oldest).values_list("uid", "at"))
    waits_since = {uid: max(row["since"], turns.get(uid, row["since"])) for uid, row in oldest.items()}
    uid = min(oldest, key=lambda each: (counts.get(each, 0), waits_since[each], oldest[each]["first"]))
    return run_id if uid == named and waiting.filter(pk=run_id).exists() else int(oldest[uid]["first"])


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
