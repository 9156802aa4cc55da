"""Actions that start no run of their own: cancel, set status, activate a version, delete audio, restore."""

from __future__ import annotations

from django.conf import settings

from memories import editing
from memories.console import radar
from memories.pipeline import budgets, service
from memories.pipeline.engine import notifications
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import State
from memories.privacy import erasure
from memories.repository import memories as repository
from memories.repository.transcripts import TranscriptVersion
from memories.shapes import PostProcessingStatus
from memories.support import runs as run_actions
from memories.support import situation as situations
from memories.support.action import Options, Preview
from memories.support.situation import Impossible, Situation
from omi.stores import audio

GONE = run_actions.GONE


def cancel(uid: str, memory_id: str, *, actor: str, reason: str) -> str:
    """Stop every run of the memory that has not ended, those in line first. One whose worker is frozen ends at once."""
    found = PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id).exclude(state=State.FINISHED)
    stopped = [
        run.pk
        for run in found.order_by("-blocked", "id")
        if service.cancel(run, actor=actor, reason=reason, at_once=radar.is_frozen(run))
    ]
    if not stopped:
        raise Impossible("Nothing is running for this memory.")
    return f"Asked to stop: {', '.join(f'run {pk}' for pk in stopped)}."


def cancel_why_not(now: Situation) -> str:
    """Return why nothing can be canceled; empty where it can."""
    return "" if now.unfinished else "Nothing is running for this memory."


def cancel_preview(now: Situation, options: Options) -> Preview:
    """Return which runs would end at once or at their next write, and what could get worse."""
    if why := cancel_why_not(now):
        return Preview(impossible=why)
    made = Preview(undo="Retry the run; what it had finished and paid for is taken over.")
    for run in now.unfinished:
        works = run.state == State.RUNNING and not radar.is_frozen(run)
        how = "stops at its next write" if works else "ends at once"
        made.does.append(f"Run {run.pk} ({run.kind}, {run.state} at {run.current_step or 'its start'}) {how}.")
    made.worse.append("A call that a vendor has taken may be billed, though its answer is thrown away.")
    made.worse.append("The app is told that the processing was canceled; what the memory shows stays as it is.")
    return made


def set_status(uid: str, memory_id: str, status: str, *, actor: str, reason: str) -> str:
    """Say in the memory what became of its post-processing. Refused while a run would overwrite it."""
    wanted = PostProcessingStatus(status)
    if PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id).exclude(state=State.FINISHED).exists():
        raise Impossible("A run of this memory has not ended and would set the status itself; cancel it first.")
    if wanted is PostProcessingStatus.IN_PROGRESS:
        raise Impossible("Only a run can be in progress; post-process the memory instead.")
    before = situations.alive(uid, memory_id).postprocessing
    try:
        notifications.set_status(uid, memory_id, wanted)
    except repository.MemoryNotFound as error:
        raise Impossible(GONE) from error
    return f"Status changed from {before.status if before else 'none'} to {wanted}."


def set_status_why_not(now: Situation) -> str:
    """Return why the status cannot be set: the memory is gone, or a run would set it; empty where it can."""
    if not now.alive:
        return GONE
    return "A run has not ended and would set the status itself; cancel it first." if now.unfinished else ""


def set_status_preview(now: Situation, options: Options) -> Preview:
    """Return what the memory says now, and what could get worse."""
    if why := set_status_why_not(now):
        return Preview(impossible=why)
    assert now.memory is not None
    before = now.memory.postprocessing
    made = Preview(undo="Set the status that it has now.")
    made.does.append(f"The memory says “{before.status if before else 'none'}” now, and what is chosen below "
                     "afterwards.")  # fmt: skip
    made.does.append("No run is started and no word changes. The app reads the new status with the memory.")
    made.worse.append("A memory that says “completed” and is not will not be looked at again by anybody.")
    return made


def activate(uid: str, memory_id: str, version: str, *, actor: str, reason: str) -> str:
    """Show another kept transcript, ``version`` as ``model@version``, and make the summary from it."""
    model, _, name = version.rpartition("@")
    situations.alive(uid, memory_id)
    try:
        editing.activate_transcript(uid, memory_id, model, name, actor=actor, reason=reason)
    except editing.NoSuchTranscript as error:
        raise Impossible("There is no such transcript of this memory.") from error
    except editing.EmptyTranscript as error:
        raise Impossible("This transcript is empty and cannot be shown in place of another.") from error
    except repository.MemoryNotFound as error:
        raise Impossible(GONE) from error
    return f"The transcript of {model} ({name[:8]}) is shown now; a run makes the summary from it."


def activate_why_not(now: Situation) -> str:
    """Return why no other transcript can be shown; empty where one can."""
    if not now.alive:
        return GONE
    return "" if others(now) else "No other transcript is kept than the one that is shown."


def activate_preview(now: Situation, options: Options) -> Preview:
    """Return which transcript would be shown in place of which, and what could get worse."""
    if why := activate_why_not(now):
        return Preview(impossible=why)
    choice = dict(others(now))
    chosen = choice.get(options.get("version", "")) or next(iter(choice.values()))
    shown = next((item for each in now.versions.values() for item in each if item.active), None)
    made = run_actions.reprocess_preview(now, options)
    made.does = [
        f"{chosen.model} ({chosen.version[:8]}) is shown: {words(chosen)} words in {len(chosen.segments)} segments"
        + (f", in place of {words(shown)} words in {len(shown.segments)} of {shown.model}." if shown else "."),
        "Names that the user gave to segments stay. The summary is made again from the words that are shown then.",
    ]
    if chosen.meta.get("accepted") is False:
        made.worse.insert(0, "The guard rejected this version: it found it worse than what was shown.")
    if shown is not None and words(chosen) < 0.85 * words(shown):
        made.worse.insert(0, f"It has {100 - round(100 * words(chosen) / words(shown))} % fewer words.")
    made.undo = "Activate the version that is shown now."
    return made


def others(now: Situation) -> list[tuple[str, TranscriptVersion]]:
    """Return the versions that can be activated, by ``model@version``; the newest of each model first."""
    return [
        (f"{item.model}@{item.version}", item)
        for _, versions in sorted(now.versions.items())
        for item in versions
        if not item.active and item.segments
    ]


def words(version: TranscriptVersion) -> int:
    """Return how many words a version of the transcript has."""
    return sum(len(segment.text.split()) for segment in version.segments)


def delete_audio(uid: str, memory_id: str, *, actor: str, reason: str) -> str:
    """Delete every stored recording of the memory now, instead of when its time is over."""
    now = situations.of(uid, memory_id, versions=False)
    if why := delete_audio_why_not(now):
        raise Impossible(why)
    gone = sum(audio.delete(item) for item in now.recordings)
    return f"{gone} of {len(now.recordings)} recordings were deleted."


def delete_audio_why_not(now: Situation) -> str:
    """Return why no recording can be deleted: a run works on it, or there is none; empty where one can."""
    if now.unfinished:
        return f"Run {now.unfinished[0].pk} works on the recording; cancel it first."
    return "" if now.recordings else "No audio of this memory is stored."


def delete_audio_preview(now: Situation, options: Options) -> Preview:
    """Return which recordings would be deleted, and what could get worse."""
    if why := delete_audio_why_not(now):
        return Preview(impossible=why)
    made = Preview(undo="Nothing brings a recording back; only the app can upload it again.")
    for item in now.recordings:
        until = f"would go {item.delete_after:%Y-%m-%d %H:%M} UTC" if item.delete_after else "was to be kept"
        made.does.append(
            f"The {item.purpose} of {item.created_at:%Y-%m-%d %H:%M} UTC, {_size(item.size)}, which {until}."
        )
    made.worse.append("The memory cannot be transcribed again, and its speakers cannot be identified again.")
    made.worse.append("The user cannot play it any more.")
    return made


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


def restore(uid: str, memory_id: str, *, actor: str, reason: str) -> str:
    """Bring back a memory that its user deleted, while that can be."""
    try:
        erasure.restore_memory(uid, memory_id, actor=actor)
    except repository.MemoryNotFound as error:
        raise Impossible("It is not deleted, or its time to be restored is over.") from error
    except budgets.BudgetSpent as error:
        raise Impossible(str(error)) from error
    return "The memory is there again; a run makes its search entry anew."


def restore_why_not(now: Situation) -> str:
    """Return why the memory cannot be restored, such as that its days are over; empty where it can."""
    if now.memory is None:
        return GONE
    if not now.memory.deleted:
        return "It is not deleted."
    until = now.restorable_until
    if settings.OMI_RESTORE_DAYS <= 0:
        return "Deletion is for good on this server (OMI_RESTORE_DAYS is 0)."
    return "" if until is not None and until > situations.now() else "Its time to be restored is over."


def restore_preview(now: Situation, options: Options) -> Preview:
    """Return what would be there again, and what could get worse."""
    if why := restore_why_not(now):
        return Preview(impossible=why)
    made = Preview(undo="The user deletes it again.")
    made.does.append("The memory is in the user's list again, with everything that hangs on it.")
    made.does.append("A run makes title, overview and search entry again.")
    made.worse.append("The user deleted it: bring it back only because the user asked for it.")
    return made
