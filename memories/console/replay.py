"""Incident replays: what failed for one reason is done anew, so many a minute, up to a cap on spend, and can be undone.

A replay is rows: the runs are written down when it is made, a worker starts one after the other, and each item says
what became of it. A worker that is killed leaves an item that waits or one that has its new run: starting an item is
one transaction, so no item is started twice and none is lost. A schedule wakes replays whose message was lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Count, Q, Sum
from django.utils import timezone

from memories.console import audit, choosing, roles, undoing
from memories.console.models import FailureGroup, Replay, ReplayItem, ReplayLog
from memories.pipeline import selection, service
from memories.pipeline.engine import queue
from memories.pipeline.models import VendorCall
from memories.pipeline.states import GOOD, State

log = structlog.get_logger(__name__)

WINDOW: Final = timedelta(days=7)
RATES: Final = (1, 600)
TICK: Final = timedelta(seconds=2)
BATCH: Final = 50
"""Items that one tick starts, collects or undoes at most."""
LEASE: Final = timedelta(seconds=20)
TASK: Final = "memories.console.replay.tick"

AT_WORK: Final = (Replay.State.RUNNING, Replay.State.UNDOING)
BUSY: Final = (ReplayItem.State.WAITING, ReplayItem.State.STARTED)


def create(
    *, name: str, reason: str, actor: str, form_key: str, group_ids: list[int], since: datetime, until: datetime,
    rate_per_minute: int, spend_cap: float, made_with: Mapping[str, str] | None = None,
) -> Replay:  # fmt: skip
    """Write the chosen runs down and begin: failed ones of groups, or those of memories of which a part was made with
    something (``made_with``, conditions of the registry). The same ``form_key`` gives the same replay. Raises
    choosing.Refused."""
    made = Replay.objects.filter(form_key=form_key).first()
    if made is not None:
        return made
    if not RATES[0] <= rate_per_minute <= RATES[1]:
        raise choosing.Refused(f"The rate is from {RATES[0]} to {RATES[1]} a minute.")
    seen = choosing.preview(group_ids, since, until, made_with=made_with)
    if seen.too_many:
        most = choosing.MOST_SELECTED if made_with else choosing.MOST
        raise choosing.Refused(f"{seen.runs} runs are more than one replay may hold ({most}): choose a shorter time.")
    # Read before the transaction: of a selection it is a look-up for each memory, and every writer waits for one.
    rows = choosing.rows(group_ids, since, until, made_with or {})
    try:
        with transaction.atomic():
            groups = [str(group) for group in FailureGroup.objects.filter(pk__in=group_ids)]
            replay = Replay.objects.create(
                name=name[:100], reason=reason[:300], created_by=actor[:150], created_at=timezone.now(),
                form_key=form_key, rate_per_minute=rate_per_minute, spend_cap=spend_cap, expected_cost=seen.cost,
                total=len(rows), users=len({uid for _, uid in rows}),
                filters={
                    "groups": group_ids, "kinds": groups or [choosing.told(made_with or {})],
                    "made_with": dict(made_with or {}), "since": since.isoformat(), "until": until.isoformat(),
                },
            )  # fmt: skip
            for item, _ in rows:
                item.replay = replay
            ReplayItem.objects.bulk_create([item for item, _ in rows], batch_size=500)
            _log(replay, actor, f"Made with {len(rows)} runs, {rate_per_minute} a minute.")
            audit.record(actor, roles.REPLAY, audit.thing("replay", replay.pk), reason, {"runs": len(rows)})
            queue.send_on_commit(TASK, replay.pk, replay.turn)
    except IntegrityError:  # the same form, sent twice at once
        return Replay.objects.get(form_key=form_key)
    return replay


# --- steering ---


def pause(replay: Replay, *, actor: str, reason: str) -> None:
    """Start nothing more until it is resumed; what is at work ends."""
    _turn(replay, Replay.State.PAUSED, [Replay.State.RUNNING], actor, "Paused", reason, paused_because=reason[:200])


def resume(replay: Replay, *, actor: str, reason: str, spend_cap: float | None = None) -> None:
    """Go on. ``spend_cap``: another one, where the old one is why it paused."""
    values: dict[str, Any] = {"paused_because": "", "last_started_at": timezone.now()}
    if spend_cap is not None:
        values["spend_cap"] = spend_cap
    _turn(replay, Replay.State.RUNNING, [Replay.State.PAUSED], actor, "Resumed", reason, **values)


def stop(replay: Replay, *, actor: str, reason: str) -> None:
    """End a replay: what waits is not started any more, what is at work ends by itself."""
    with transaction.atomic():
        _turn(
            replay, Replay.State.STOPPED, [Replay.State.RUNNING, Replay.State.PAUSED], actor, "Stopped", reason,
            finished_at=timezone.now(),
        )  # fmt: skip
        replay.items.filter(state=ReplayItem.State.WAITING).update(
            state=ReplayItem.State.SKIPPED, note="the replay was stopped", ended_at=timezone.now()
        )


def undo(replay: Replay, *, actor: str, reason: str) -> None:
    """Show again, of each memory that this replay changed, the transcript that was shown before."""
    _turn(
        replay, Replay.State.UNDOING, [Replay.State.DONE, Replay.State.STOPPED], actor, "Undo", reason,
        finished_at=None,
    )  # fmt: skip


def _turn(
    replay: Replay, to: str, origins: list[Replay.State], actor: str, word: str, reason: str, **values: Any
) -> None:
    with transaction.atomic():
        rows = Replay.objects.filter(pk=replay.pk, state__in=origins)
        if not rows.update(state=to, **values):
            replay.refresh_from_db()
            raise choosing.Refused(f"The replay is {replay.get_state_display()}: this is not possible any more.")
        _log(replay, actor, f"{word}. Reason: {reason}")
        audit.record(actor, roles.REPLAY, audit.thing("replay", replay.pk), reason, {"to": str(to)})
        replay.refresh_from_db()
        if to in AT_WORK:
            queue.send_on_commit(TASK, replay.pk, replay.turn)


# --- in the worker ---


def wake_all() -> int:
    """Send the messages of replays at work that were lost, for the schedule; returns how many."""
    now = timezone.now()
    idle = Replay.objects.filter(Q(lease_until=None) | Q(lease_until__lt=now))
    late = idle.filter(state__in=AT_WORK) | idle.filter(items__state=ReplayItem.State.STARTED).exclude(
        state__in=AT_WORK
    )
    found = list(late.order_by("id").values_list("pk", "turn").distinct()[:100])
    for pk, turn in found:
        queue.send(TASK, pk, turn)
    return len(found)


def tick(replay_id: int, turn: int) -> str:
    """One turn of a replay: see what ended, start what may start, and come again. Task of the worker.

    The message of the next turn is sent first, for when this worker should be dead: the one that is sent at the end
    comes sooner, and makes it void.
    """
    now = timezone.now()
    mine = Replay.objects.filter(Q(lease_until=None) | Q(lease_until__lt=now), pk=replay_id, turn=turn)
    if not mine.update(lease_until=now + LEASE, turn=turn + 1):
        return "not this one's turn"
    queue.send(TASK, replay_id, turn + 1, at=now + LEASE + TICK)
    replay = Replay.objects.get(pk=replay_id)
    again = True
    try:
        collect(replay)
        if replay.state == Replay.State.RUNNING:
            _start_due(replay, now)
        elif replay.state == Replay.State.UNDOING:
            _undo_some(replay)
        again = _settle(replay)
    finally:
        Replay.objects.filter(pk=replay_id).update(lease_until=None)
        if again:
            queue.send(TASK, replay_id, turn + 1, at=timezone.now() + TICK)
    return str(Replay.objects.values_list("state", flat=True).get(pk=replay_id))


def collect(replay: Replay) -> int:
    """Write down what became of the items whose runs have ended. How many."""
    started = replay.items.filter(state=ReplayItem.State.STARTED, new_run__state=State.FINISHED)
    done = 0
    for item in started.select_related("run", "new_run").order_by("id")[:BATCH]:
        assert item.new_run is not None
        if item.new_run.outcome in GOOD:
            state = ReplayItem.State.DONE
        elif (item.new_run.message_id, item.new_run.current_step) == (item.run.message_id, item.run.current_step):
            state = ReplayItem.State.SAME_FAILURE
        else:
            state = ReplayItem.State.OTHER_FAILURE
        cost = VendorCall.objects.filter(run=item.new_run).aggregate(cost=Sum("cost"))["cost"] or 0.0
        ReplayItem.objects.filter(pk=item.pk, state=ReplayItem.State.STARTED).update(
            state=state, note=item.new_run.message_id, cost=cost, ended_at=timezone.now()
        )
        done += 1
    return done


def _start_due(replay: Replay, now: datetime) -> None:
    """Start as many as the rate allows since the last start, unless the cap is reached."""
    since = replay.last_started_at or now - timedelta(minutes=1 / replay.rate_per_minute)
    # What was not used while no worker was at it is not made up for.
    seconds = min((now - since).total_seconds(), max(5.0, 60 / replay.rate_per_minute))
    allowed = min(BATCH, int(seconds * replay.rate_per_minute / 60 + 1e-6))
    if allowed < 1:
        return
    waiting = list(replay.items.filter(state=ReplayItem.State.WAITING).select_related("run").order_by("id")[:allowed])
    for item in waiting:
        if replay.spend_cap and spent(replay) >= replay.spend_cap:
            because = f"The cap of {replay.spend_cap:.2f} $ is reached."
            if Replay.objects.filter(pk=replay.pk, state=Replay.State.RUNNING).update(
                state=Replay.State.PAUSED, paused_because=because
            ):
                _log(replay, "worker", because)
            break
        if not _start(replay, item):
            break
    Replay.objects.filter(pk=replay.pk).update(last_started_at=now)


def _start(replay: Replay, item: ReplayItem) -> bool:
    """Start one item. False where the replay is not running any more."""
    run = item.run
    model, version, note = undoing.shown(run)
    with transaction.atomic():
        # The row is locked first: who pauses or stops waits for this item, or this item finds it paused.
        if not Replay.objects.filter(pk=replay.pk, state=Replay.State.RUNNING).update(
            lease_until=timezone.now() + LEASE
        ):
            return False
        mine = ReplayItem.objects.filter(pk=item.pk, state=ReplayItem.State.WAITING)
        if not mine.update(
            state=ReplayItem.State.STARTED, started_at=timezone.now(), before_model=model, before_version=version
        ):
            return True
        row = ReplayItem.objects.filter(pk=item.pk)
        who, why = f"replay:{replay.pk}", f"{replay.name}: {replay.reason}"
        if item.from_step:
            new_run, problem = choosing.start(item, _selection_of(replay), actor=who, reason=why)
            left = {} if new_run is not None else {
                "state": ReplayItem.State.SKIPPED, "note": problem[:200], "ended_at": timezone.now()
            }  # fmt: skip
            row.update(new_run=new_run, **left)
            return True
        if note or run.followed_by.exists():
            row.update(
                state=ReplayItem.State.SKIPPED, note=note or "somebody has done it anew already",
                ended_at=timezone.now(),
            )  # fmt: skip
            return True
        try:
            new_run = service.retry(run, actor=who, reason=why)
        except service.PipelineError as error:
            row.update(state=ReplayItem.State.SKIPPED, note=str(error)[:200], ended_at=timezone.now())
            return True
        row.update(new_run=new_run)
    return True


def _selection_of(replay: Replay) -> selection.Selection:
    """As it was frozen when the replay was made."""
    since, until = (datetime.fromisoformat(replay.filters[name]) for name in ("since", "until"))
    return selection.Selection(replay.filters["made_with"], since, until)


def _undo_some(replay: Replay) -> None:
    done = replay.items.filter(state=ReplayItem.State.DONE).select_related("run").order_by("id")
    for item in done[:BATCH]:
        Replay.objects.filter(pk=replay.pk).update(lease_until=timezone.now() + LEASE)
        note = undoing.one(item)
        ReplayItem.objects.filter(pk=item.pk).update(
            state=ReplayItem.State.UNDONE, note=note[:200], ended_at=timezone.now()
        )


def _settle(replay: Replay) -> bool:
    """Whether there is more to do; ends the replay where there is not."""
    replay.refresh_from_db()
    counts = progress(replay)
    busy = counts[ReplayItem.State.STARTED]
    if replay.state == Replay.State.RUNNING:
        if busy or counts[ReplayItem.State.WAITING]:
            return True
        _end(replay, Replay.State.DONE, f"Done: {_said(counts)}.")
        return False
    if replay.state == Replay.State.UNDOING:
        if busy or counts[ReplayItem.State.DONE]:
            return True
        _end(replay, Replay.State.UNDONE, f"Undone: {undoing.told(replay)}")
        return False
    return bool(busy)  # paused or stopped: what is at work ends, and is written down


def _end(replay: Replay, to: Replay.State, text: str) -> None:
    if Replay.objects.filter(pk=replay.pk, state=replay.state).update(state=to, finished_at=timezone.now()):
        _log(replay, "worker", text)


def progress(replay: Replay) -> dict[str, int]:
    """How many items are in each state."""
    counts = dict.fromkeys([state.value for state in ReplayItem.State], 0)
    rows = ReplayItem.objects.filter(replay=replay).order_by().values_list("state").annotate(Count("pk"))
    return {**counts, **dict(rows)}


def spent(replay: Replay) -> float:
    """US dollars: what the ended items cost, and for each that is at work what is expected of one."""
    cost = float(replay.items.aggregate(cost=Sum("cost"))["cost"] or 0.0)
    each = replay.expected_cost / replay.total if replay.total else 0.0
    return cost + each * replay.items.filter(state=ReplayItem.State.STARTED).count()


def _said(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items() if count)


def _log(replay: Replay, actor: str, text: str) -> None:
    ReplayLog.objects.create(replay=replay, at=timezone.now(), actor=actor[:150], text=text[:300])
