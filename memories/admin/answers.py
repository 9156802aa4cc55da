"""The six questions with which support opens a memory, each answered in a sentence or two."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Q, Sum
from django.utils import timezone

from memories.admin import moments
from memories.admin.trace import Trace
from memories.console import radar
from memories.pipeline import failure_catalogue
from memories.pipeline.failure_catalogue import Message
from memories.pipeline.models import PostProcessingRun, StepAttempt, VendorCall
from memories.pipeline.states import State
from memories.support import ACTIONS, Preview
from memories.support.situation import Situation

ALIKE: Final = 1000
"""Newest runs with the same outcome that are looked at for the same failure."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the six questions with its answer. ``points``: the sentences; ``tone`` colours the box."""

    question: str
    points: list[str]
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Spent:
    """What the memory has cost until now, at list prices."""

    calls: int
    dollars: float
    duplicates: int


def of(now: Situation, trace: Trace | None, spent: Spent, retry: Preview | None) -> list[Answer]:
    """Return the six questions with their answers, in the order in which the page shows them."""
    run = trace.run if trace else None
    message = told(run)
    return [
        Answer("What happened?", _happened(now, trace), _tone(now, run)),
        Answer("Why?", _why(now, trace, message)),
        Answer("Who is hurt?", _hurt(now, run, message)),
        Answer("What can I do?", _can(now, run, message)),
        Answer("What will it cost?", _cost(spent, retry)),
        Answer("What if I do nothing?", _nothing(now, run)),
    ]


def told(run: PostProcessingRun | None) -> Message | None:
    """Return the failure's entry in the catalogue; None without a run, or where the run told nobody anything."""
    return failure_catalogue.get(run.message_id) if run is not None and run.message_id else None


def spent_on(uid: str, memory_id: str) -> Spent:
    """Return what vendors' calls for the memory's runs cost: their number, US dollars, and how many were duplicates."""
    calls = VendorCall.objects.filter(run__uid=uid, run__memory_id=memory_id)
    sums = calls.aggregate(calls=Count("pk"), dollars=Sum("cost"), duplicates=Count("pk", filter=Q(duplicate=True)))
    return Spent(sums["calls"], float(sums["dollars"] or 0.0), sums["duplicates"])


def _older(now: Situation, run: PostProcessingRun | None) -> bool:
    """Whether another run came after the one that the answers are about."""
    return run is not None and bool(now.runs) and run.pk < now.runs[0].pk


def _tone(now: Situation, run: PostProcessingRun | None) -> str:
    if run is None:
        return "plain"
    if run.state != State.FINISHED:
        return "busy"
    return "good" if run.succeeded else "bad"


def _happened(now: Situation, trace: Trace | None) -> list[str]:
    if trace is None:
        return ["Nothing was ever done to this memory: it had no run."]
    run = trace.run
    name = f"Run {run.pk} ({run.get_kind_display().split(':')[0].lower()}, asked by {run.actor})"
    if run.state == State.FINISHED:
        assert run.finished_at is not None
        ended = "ended well" if run.succeeded else f"ended as {run.outcome.replace('_', ' ')}"
        where = f" in {run.current_step}" if run.current_step and not run.succeeded else ""
        points = [f"{name} {ended}{where}, {moments.both(run.finished_at)}."]
    else:
        since = run.step_started_at or run.started_at or run.created_at
        at = f" at {run.current_step}" if run.current_step else ""
        held = ", behind another run of this memory" if run.blocked else ""
        points = [f"{name} is {run.state}{at}{held}, since {moments.both(since)}."]
    tries = len(trace.attempts)
    bad = sum(1 for item in trace.attempts if item.error_code or item.result != "done")
    if bad:
        points.append(f"{bad} of {tries} attempts went wrong; it was claimed by a worker {run.total_claims} times.")
    if len(now.runs) > 1:
        failed = sum(1 for item in now.runs if item.state == State.FINISHED and not item.succeeded)
        points.append(f"{len(now.runs)} runs in all, {failed} of them without success.")
    if _older(now, run):
        points.append(f"You are looking at an older run; the newest is run {now.runs[0].pk}, see Runs.")
    if now.memory is not None and now.memory.deleted:
        points.append("Its user deleted the memory.")
    return points


def _why(now: Situation, trace: Trace | None, message: Message | None) -> list[str]:
    points = [now.problem] if now.problem else []
    if trace is None:
        return points or ["No upload and no conversation has asked for a run."]
    run = trace.run
    if message is not None and (not run.succeeded or message.id != "success"):
        points.append(f"{message.header}: {message.sentence} ({message.id}; fault: {message.fault})")
    trouble = trace.last_trouble
    if trouble is not None and not run.succeeded:
        points.append(trouble_of(trouble))
    if run.cancel_requested:
        points.append("Somebody asked it to stop; see the run's log.")
    if radar.is_frozen(run) and run.heartbeat_at is not None:
        silent = moments.both(run.heartbeat_at)
        points.append(f"It is frozen: its worker, {run.lease_owner}, has shown no sign of life since {silent}.")
    return points or (["Nothing went wrong."] if run.succeeded else ["Nothing has gone wrong so far."])


def trouble_of(attempt: StepAttempt) -> str:
    """One sentence about an attempt that went wrong."""
    who = f" at {attempt.vendor}" if attempt.vendor else ""
    code = f" {attempt.error_code}" if attempt.error_code else ""
    detail = f": {attempt.detail}" if attempt.detail else ""
    return f"Attempt {attempt.number}{who} said{code or ' ' + attempt.outcome}{detail}".rstrip(".") + "."


def _hurt(now: Situation, run: PostProcessingRun | None, message: Message | None) -> list[str]:
    points = [f"User {now.uid}, with this memory."]
    if now.memory is not None and now.alive:
        shown = len(now.memory.transcript_segments)
        points.append(
            f"They see {shown} segment{'s' * (shown != 1)} of {now.memory.active_transcript or 'the live transcript'}"
            f"{'' if now.memory.structured.title else ', and no title'}."
            if shown
            else "They see no words of it."
        )
    if run is None or run.state != State.FINISHED or run.succeeded or message is None:
        nobody = "Nobody by this run; there are newer ones." if _older(now, run) else "Nobody."
        return points if run is None or not run.succeeded else [nobody, *points[1:]]
    since = timezone.now() - timedelta(days=1)
    newest = PostProcessingRun.objects.filter(kind=run.kind, outcome=run.outcome).order_by("-id")
    rows = newest.values_list("uid", "memory_id", "message_id", "created_at")[:ALIKE]
    alike = {
        (uid, memory)
        for uid, memory, found, at in rows
        if found == run.message_id and at >= since and (uid, memory) != (now.uid, now.memory_id)
    }
    if alike:
        users = len({uid for uid, _ in alike})
        points.append(f"In the last 24 hours {len(alike)} other memories of {users} users ended with {run.message_id}.")
    else:
        points.append(f"No other memory ended with {run.message_id} in the last 24 hours.")
    return points


def _can(now: Situation, run: PostProcessingRun | None, message: Message | None) -> list[str]:
    points = []
    if message is not None and run is not None and not run.succeeded:
        points.append(message.what_to_do)
    open_to = [action.verb for action in ACTIONS.values() if not action.why_not(now)]
    points.append(f"Possible now: {', '.join(open_to)}." if open_to else "No action is possible now.")
    return points


def _cost(spent: Spent, retry: Preview | None) -> list[str]:
    points = []
    if retry is not None and retry.forecast is not None and not retry.impossible:
        told = retry.forecast
        more = f", and what {', '.join(told.unknown)} costs, which nobody has paid here yet" if told.unknown else ""
        price = f"{told.cost:.4f} $ at list prices" if told.cost or told.unknown else "nothing to pay"
        points.append(f"A retry: about {moments.length(told.seconds)} and {price}{more}.")
    elif retry is not None and retry.impossible:
        points.append(f"A retry cannot work: {retry.impossible}")
    calls = f"{spent.calls} vendor call{'' if spent.calls == 1 else 's'}"
    paid_twice = f", {spent.duplicates} of them paid twice" if spent.duplicates else ""
    points.append(f"Until now: {spent.dollars:.4f} $ in {calls}{paid_twice}.")
    return points


def _nothing(now: Situation, run: PostProcessingRun | None) -> list[str]:
    points: list[str] = []
    until = now.restorable_until
    if until is not None and until > timezone.now():
        points.append(f"It is erased for good {moments.both(until)}.")
    elif now.memory is not None and now.memory.deleted:
        points.append("It is being erased for good.")
    if run is not None and run.state != State.FINISHED:
        points.append(_goes_on(run))
    elif run is not None and not run.succeeded:
        points.append("It stays as it is: nobody tries it again by itself.")
    gone = _first_deletion(now)
    if gone is not None:
        points.append(f"The {gone[0]} is deleted {moments.both(gone[1])}; it cannot be transcribed again after that.")
    return points or ["Nothing: the work is done, and nothing waits."]


def _goes_on(run: PostProcessingRun) -> str:
    if run.blocked:
        return "It begins by itself when the run before it has ended."
    if run.state == State.WAITING and run.due_at is not None:
        return f"It goes on by itself, at the latest {moments.both(run.due_at)}."
    if run.state == State.RUNNING and run.lease_until is not None:
        end = moments.both(run.lease_until)
        if radar.is_frozen(run):
            return f"Nothing happens until its lease has run out, {end}; then another worker takes it over by itself."
        return f"It goes on. If its worker dies, another one takes it over by itself, {end} at the latest."
    return "A worker takes it from the queue; one that is lost is sent again."


def _first_deletion(now: Situation) -> tuple[str, datetime] | None:
    """The last recording to go, where all have an end: after it nothing can be transcribed."""
    ends = [(item.delete_after, str(item.purpose)) for item in now.playable if item.delete_after is not None]
    if not ends or len(ends) < len(now.playable):
        return None
    last = max(ends)
    return last[1], last[0]
