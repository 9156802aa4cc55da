"""Reading runs. Every read for a user takes the user, so that a stranger finds nothing."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, Final

from django.db.models import Avg, Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from memories.pipeline.models import PostProcessingRun, RunStep
from memories.pipeline.states import State, StepState


class RunNotFound(LookupError):
    """No such run of this user."""


def runs_of(uid: str, memory_id: str) -> QuerySet[PostProcessingRun]:
    """Return the runs of one memory of the user, the newest first."""
    return PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id).order_by("-id")


def latest_run(uid: str, memory_id: str, kind: str | None = None) -> PostProcessingRun | None:
    """The run to show for a memory: the one that is active, else the newest."""
    runs = runs_of(uid, memory_id)
    if kind:
        runs = runs.filter(kind=kind)
    return runs.exclude(state=State.FINISHED).filter(blocked=False).first() or runs.first()


def get_run(uid: str, run_id: int | str) -> PostProcessingRun:
    """Return the user's run of this id; raises RunNotFound for an id that is not one, unknown, or another user's."""
    text = str(run_id)
    if not text.isdecimal() or not text.isascii() or len(text) > 18:
        raise RunNotFound(text[:40])
    run = PostProcessingRun.objects.filter(uid=uid, pk=int(text)).first()
    if run is None:
        raise RunNotFound(text)
    return run


def dead_letters() -> QuerySet[PostProcessingRun]:
    """Return the runs that were given up and that no later run has followed."""
    return PostProcessingRun.objects.filter(dead_letter=True, followed_by=None).order_by("id")


def unfinished(state: State) -> QuerySet[PostProcessingRun]:
    """Runs in one state that is not the end. By an index that holds only what the totals do not (``counted``), and is
    sorted by age within a state: several states at once, or "not finished", would be sorted in full."""
    return PostProcessingRun.objects.filter(counted=False, state=state)


def count_dead_letters(most: int) -> int:
    """Return how many of the newest ``most`` runs that were given up no later run has followed. It takes one look in an
    index for each: joined, PostgreSQL went through all pairs of them (6 s with 6,000)."""
    followers = PostProcessingRun.objects.filter(follows=OuterRef("pk"))
    given_up = PostProcessingRun.objects.filter(dead_letter=True).order_by("-id")
    newest = given_up.annotate(followed=Exists(followers)).values("pk", "followed")[:most]
    return int(newest.aggregate(left=Count("pk", filter=Q(followed=False)))["left"])


def oldest_age(now: datetime | None = None) -> float:
    """Age in seconds of the oldest run that has not ended; 0 where there is none."""
    begun = [unfinished(state).order_by("created_at").values_list("created_at", flat=True).first()
             for state in State if state is not State.FINISHED]  # fmt: skip
    oldest = min((at for at in begun if at is not None), default=None)
    return max(0.0, ((now or timezone.now()) - oldest).total_seconds()) if oldest else 0.0


DEFAULT_SECONDS: Final = {
    "gather": 0.2, "prepare_audio": 3.0, "transcribe": 20.0, "assess": 0.2, "identify_speakers": 5.0,
    "structure": 4.0, "index": 0.5, "emotions": 5.0, "publish": 0.5,
}  # fmt: skip
"""For ``DEFAULT_AUDIO`` seconds of recording, until this installation has measured its own."""

DEFAULT_AUDIO: Final = 60.0
BY_AUDIO: Final = frozenset({"prepare_audio", "transcribe", "identify_speakers", "emotions"})
"""Steps whose time grows with the recording."""

FIXED: Final = 0.2
"""Share of such a step's time that does not depend on the length (starting, queueing): a guess, for progress bars."""

_measured: dict[str, Any] = {"until": 0.0, "seconds": DEFAULT_SECONDS, "audio": DEFAULT_AUDIO}


def step_seconds(audio_seconds: float | None = None) -> dict[str, float]:
    """Expected seconds of each step for a recording of this length (None: an average one).

    Means over what this installation did lately, read again once a minute.
    """
    if time.monotonic() > _measured["until"]:
        _measured.update(until=time.monotonic() + 60, **_measure())
    seconds = dict(_measured["seconds"])
    if audio_seconds is not None:
        share = FIXED + (1 - FIXED) * audio_seconds / _measured["audio"]
        seconds |= {name: seconds[name] * share for name in BY_AUDIO}
    return seconds


def _measure() -> dict[str, Any]:
    newest = RunStep.objects.order_by("-id").values_list("pk", flat=True).first() or 0
    recent = RunStep.objects.filter(pk__gt=newest - 4000, state=StepState.DONE, reused_from=None).order_by()
    rows = recent.values("name").annotate(mean=Avg("seconds"), count=Count("id"))
    means = {row["name"]: float(row["mean"]) for row in rows if row["count"] >= 3}
    lengths = [
        float(length)
        for length in recent.filter(name="prepare_audio").values_list("output__seconds", flat=True)
        if length
    ]
    audio = sum(lengths) / len(lengths) if len(lengths) >= 3 else DEFAULT_AUDIO
    if len(lengths) < 3:  # means of unknown lengths say nothing about this one
        means = {name: mean for name, mean in means.items() if name not in BY_AUDIO}
    return {"seconds": {**DEFAULT_SECONDS, **means}, "audio": audio}
