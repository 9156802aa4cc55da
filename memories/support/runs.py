"""Actions that start a run: retry from a step, transcribe again, summarise again, identify speakers again."""

from __future__ import annotations

from typing import Any, Final

from memories.pipeline import queries, service
from memories.pipeline.engine import plans
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.operations import dry_run
from memories.pipeline.operations.dry_run import Forecast
from memories.pipeline.states import Kind, State
from memories.support import situation as situations
from memories.support.action import Options, Preview
from memories.support.situation import Impossible, Situation
from omi.core.errors import ProviderError
from omi.stores import audio
from omi.stores.documents.base import DocumentError

NO_RECORDING: Final = "No recording of this memory is stored any more; the app has to upload it again."
GONE: Final = "The memory is gone."


def retry(uid: str, memory_id: str, *, actor: str, reason: str, run: str = "", from_step: str = "") -> str:
    """A run once more, from ``from_step`` on; steps before it are taken from earlier runs where nothing changed."""
    situations.alive(uid, memory_id)
    try:
        earlier = queries.get_run(uid, run) if run else queries.latest_run(uid, memory_id)
    except queries.RunNotFound as error:
        raise Impossible(f"There is no run {run[:20]} of this user.") from error
    if earlier is None or earlier.memory_id != memory_id:
        raise Impossible("There is no such run of this memory.")
    try:
        made = service.retry(earlier, actor=actor, reason=reason, from_step=from_step or None)
    except service.NotRetryable as error:
        raise Impossible(f"Run {earlier.pk} has not ended; cancel it first.") from error
    except ValueError as error:
        raise Impossible(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    start = f" from {from_step} on" if from_step else ", reusing what is unchanged"
    return f"Run {made.pk} does run {earlier.pk} again{start}."


def retry_why_not(now: Situation) -> str:
    """Return why no run can be retried; empty where one that ended can."""
    if not now.alive:
        return GONE
    return "" if now.ended else ("Its run has not ended yet; cancel it first." if now.runs else "It never had a run.")


def retry_preview(now: Situation, options: Options) -> Preview:
    """Return what retrying the chosen run (else the newest that ended) would do, and what could get worse."""
    chosen = next((run for run in now.runs if str(run.pk) == options.get("run")), None)
    chosen = chosen or (now.ended[0] if now.ended else None)
    if chosen is None:
        return Preview(impossible=retry_why_not(now) or "There is no such run of this memory.")
    if chosen.state != State.FINISHED:
        return Preview(impossible=f"Run {chosen.pk} has not ended; cancel it first.")
    first = options.get("from_step") or None
    if first is not None and first not in chosen.plan:
        return Preview(impossible=f"Run {chosen.pk} has no such step.")
    made = _preview(now, chosen.kind, chosen, first)
    made.does.insert(0, f"A new run follows run {chosen.pk} ({chosen.outcome}), with its recording and options.")
    if first:
        made.does.append(f"Everything from {first} on is done anew, whether it changed or not.")
    else:
        made.does.append("Only what failed, or whose input has changed, is done again; the rest is taken over.")
    return made


def post_process(uid: str, memory_id: str, *, actor: str, reason: str) -> str:
    """The recording again, from the last run's audio or the kept recording."""
    memory = situations.alive(uid, memory_id)
    last = queries.latest_run(uid, memory_id, Kind.POSTPROCESS)
    if last is not None and last.state != State.FINISHED:
        raise Impossible(f"Run {last.pk} is still {last.state}; cancel it first.")
    kept = {item.name: item for item in audio.for_memory(uid, memory_id)}
    if last is not None and last.audio in kept:
        run = service.retry(last, actor=actor, reason=reason, from_step="prepare_audio")
        return f"Run {run.pk} follows run {last.pk} with the same recording."
    playable = [item for item in kept.values() if item.purpose in situations.PLAYABLE]
    if not playable:
        raise Impossible(NO_RECORDING)
    options: dict[str, Any] = {"emotional_feedback": memory.emotional_feedback}
    run = service.start(
        Kind.POSTPROCESS, uid, memory_id, actor=actor, reason=reason, audio=playable[-1], options=options
    )
    return f"Run {run.pk} works on the {playable[-1].purpose} of {playable[-1].created_at:%Y-%m-%d %H:%M} UTC."


def post_process_why_not(now: Situation) -> str:
    """Return why the recording cannot be transcribed again; empty where it can."""
    if not now.alive:
        return GONE
    busy = next((run for run in now.unfinished if run.kind == Kind.POSTPROCESS), None)
    if busy is not None:
        return f"Run {busy.pk} is still {busy.state}; cancel it first."
    return "" if now.playable else NO_RECORDING


def post_process_preview(now: Situation, options: Options) -> Preview:
    """Return what transcribing the recording again would do, and what could get worse."""
    if why := post_process_why_not(now):
        return Preview(impossible=why)
    last = next((run for run in now.runs if run.kind == Kind.POSTPROCESS), None)
    kept = {item.name for item in now.recordings}
    if last is not None and last.audio in kept:
        made = _preview(now, Kind.POSTPROCESS, last, "prepare_audio")
    else:
        newest = [item for item in now.recordings if item.purpose in situations.PLAYABLE][-1]
        made = _preview(now, Kind.POSTPROCESS, None, "prepare_audio", recording=newest.name)
    made.does.insert(0, "The stored recording is transcribed again. The better transcript is shown; both are kept.")
    return made


def reprocess(uid: str, memory_id: str, *, actor: str, reason: str) -> str:
    """Title, overview, action items and vector again, from the transcript that is shown."""
    situations.alive(uid, memory_id)
    run = service.start(Kind.REPROCESS, uid, memory_id, actor=actor, reason=reason, options={"force": True})
    return f"Run {run.pk} makes title, overview and search entry again."


def reprocess_why_not(now: Situation) -> str:
    """Return why no new summary can be made; empty where one can."""
    if not now.alive or now.memory is None:
        return GONE
    return "" if now.memory.transcript_segments else "The memory shows no transcript to make a summary from."


def reprocess_preview(now: Situation, options: Options) -> Preview:
    """Return what making the summary again would do, and what could get worse."""
    if why := reprocess_why_not(now):
        return Preview(impossible=why)
    made = _preview(now, Kind.REPROCESS, None, None)
    made.does.insert(0, "Title, overview, action items, events and search entry are made again; no word of it changes.")
    return made


def identify(uid: str, memory_id: str, *, actor: str, reason: str) -> str:
    """Whose voices they are, once more: with the people and samples that are known now."""
    situations.alive(uid, memory_id)
    now = situations.of(uid, memory_id, versions=False)
    if why := identify_why_not(now):
        raise Impossible(why)
    last = _heard(now)
    assert last is not None
    run = service.retry(last, actor=actor, reason=reason, from_step="identify_speakers")
    return f"Run {run.pk} identifies the speakers of run {last.pk} again."


def identify_why_not(now: Situation) -> str:
    """Return why the voices cannot be compared again; empty where they can."""
    if not now.alive:
        return GONE
    if now.unfinished:
        return f"Run {now.unfinished[0].pk} has not ended and may still name the voices; cancel it first."
    if _heard(now) is None:
        return "No run of this memory had a recording, so there is no voice to compare."
    return "" if now.playable else NO_RECORDING


def identify_preview(now: Situation, options: Options) -> Preview:
    """Return what comparing the voices again would do, and what could get worse."""
    if why := identify_why_not(now):
        return Preview(impossible=why)
    last = _heard(now)
    assert last is not None
    made = _preview(now, last.kind, last, "identify_speakers")
    made.does.insert(0, "Each voice is compared again with the people who are known now. No word is transcribed again.")
    made.worse.append("A voice that has a name may lose it, where the evidence no longer does; names that the user set "
                      "stay.")  # fmt: skip
    return made


def _heard(now: Situation) -> PostProcessingRun | None:
    """The newest ended run that can judge voices."""
    return next((run for run in now.ended if "identify_speakers" in run.plan and (run.audio or now.playable)), None)


def _preview(
    now: Situation, kind: str, follows: PostProcessingRun | None, first: str | None, *, recording: str = ""
) -> Preview:
    made = Preview()
    try:
        told = dry_run.forecast(now.uid, now.memory_id, kind, follows, first, recording=recording)
    except (ProviderError, DocumentError) as error:
        return Preview(impossible=f"It cannot be foreseen: {error}")
    made.forecast = told
    made.impossible = next((item for item in told.warnings if "audio_missing" in item), "")
    if made.impossible:
        made.impossible = "The recording is no longer stored, so this run would fail at once. Choose a later step."
    if now.unfinished:
        made.does.append(f"It waits until run {now.unfinished[0].pk} has ended.")
    made.worse += _worse(told, now)
    made.undo = "The transcript that is shown now is kept; “Activate a version” goes back to it."
    return made


def _worse(told: Forecast, now: Situation) -> list[str]:
    running = {step.name for step in told.steps if step.runs}
    worse = []
    if "transcribe" in running:
        worse.append("The guard shows a new transcript only where it finds it better; it can be wrong.")
    if "structure" in running:
        edits = now.memory.edits if now.memory else None
        kept = [name for name in ("title", "overview") if edits is not None and getattr(edits, name)]
        worse.append(
            "Title, overview and action items are written anew"
            + (f" (the user's own {' and '.join(kept)} stay)." if kept else " and may be other ones.")
        )
    if "emotions" in running:
        worse.append("The emotion timeline of the same model is replaced.")
    paid = [step for step in told.steps if step.runs and step.vendor]
    if paid:
        named = ", ".join(sorted({step.vendor for step in paid}))
        worse.append(f"{named} may be paid again, also where the result turns out the same.")
    return worse


def steps_of(run: PostProcessingRun) -> list[str]:
    """Return the steps from which a retry of the run may begin."""
    return [name for name in run.plan if name in plans.plan_for(run.kind)]
