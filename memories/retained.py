"""What is kept only for a time: how much there is, when it goes, and why it is still here. For ``manage.py retention``.

Each line is one query that counts at most ``MOST`` rows and brings none of them here; the journals are one walk over as
many sessions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone

from memories.feedback.models import LabelledCase, Report
from memories.links import shared as links
from memories.links.models import SharedLink, TaskFeed
from memories.models import ErasureReceipt, MirrorSample, UserEvent, VendorCallback
from memories.offline import ending
from memories.offline.models import SyncBatch, SyncConversation, SyncFile
from memories.pipeline.models import PostProcessingRun, StepArtifact, VendorCall
from memories.pipeline.states import State
from memories.reshaping import records as reshaping
from memories.reshaping.models import ReshapedMemory, Reshaping
from memories.submissions import once
from memories.submissions.models import Submission
from memories.upkeep import CALLBACKS_KEPT, SAMPLES_KEPT
from memories.user_events.log import KEPT as EVENTS_KEPT
from memories.webhooks import rules
from memories.webhooks.models import WebhookDelivery
from omi.accounts.models import ErasedAccount
from omi.stores.audio import KEEP_ROWS
from omi.stores.models import AudioObject
from transcription import journal
from transcription.journal.store import FINISHED, OPEN, UNCLAIMED_SECONDS

MOST = 10_000
"""Rows, or sessions, that one line counts."""

_BATCHES_AUDIO = f"when the batch is done, at most {settings.OMI_SYNC_KEEP_DAYS:g} days and one after it came"

HOUSEKEEPING = "with the next housekeeping (every five minutes)"
DAILY = "with the next daily schedule"


@dataclass
class Held:
    """One line: ``count`` things of a kind that go at the same time for the same reason."""

    what: str
    goes: str
    why: str
    count: int = 0
    size: int | None = None
    more: bool = field(default=False, metadata={"meaning": "there are more than were counted"})


def report() -> Iterator[Held]:
    """Every kind of thing that is kept for a time, also where there is none of it."""
    for part in (_audio, _journals, _artifacts, _runs, _rows, _receipts):
        yield from part()
    yield Held("logs", "when the system that keeps them says so", "written to the standard streams, kept by no server")


def _audio() -> Iterator[Held]:
    now = timezone.now()
    live = AudioObject.objects.filter(deleted_at=None)
    busy = PostProcessingRun.objects.exclude(state=State.FINISHED).exclude(memory_id="").values("memory_id")
    over, later = live.filter(delete_after__lte=now), live.filter(delete_after__gt=now)
    used, (recording, sync) = Q(memory_id__in=busy), (AudioObject.Purpose.RECORDING, AudioObject.Purpose.SYNC)
    work = later.exclude(purpose__in=(recording, sync))
    for what, rows, goes, why in (
        ("audio past its time", over.filter(used), "when the runs of its memory are over", "a run still needs it"),
        ("audio past its time", over.exclude(used), HOUSEKEEPING, "the housekeeping has not come to it"),
        ("audio of processing", work, _within(settings.OMI_AUDIO_KEEP), "its time"),
        ("audio of offline batches", later.filter(purpose=sync), _BATCHES_AUDIO, "a batch that is not done needs it"),
        ("audio: recording", later.filter(purpose=recording), "after as long as the user chose", "the user permits it"),
        *(
            (f"audio: {purpose.label.lower()}", live.filter(delete_after=None, purpose=purpose), goes, why)
            for purpose, goes, why in (
                (AudioObject.Purpose.RECORDING, "with the memory, or the permission", "the user permits recordings"),
                (AudioObject.Purpose.SAMPLE, "with the person, or the memory", "a voice is known by it"),
                (AudioObject.Purpose.PROFILE, "with the profile, or the user", "the user's voice is known by it"),
                (AudioObject.Purpose.UPLOAD, "with the memory", "no deadline was set"),
                (AudioObject.Purpose.JOURNAL, "with the memory", "no deadline was set"),
            )
        ),
    ):
        yield _counted(Held(what, goes, why), rows, size="size")
    gone = AudioObject.objects.filter(deleted_at__isnull=False)
    yield _counted(Held("rows of deleted audio", f"{KEEP_ROWS.days} days after it", "proof; no bytes are left"), gone)


def _within(kept: timedelta) -> str:
    return f"within {kept.total_seconds() / 3600:.0f} hours (OMI_AUDIO_KEEP_HOURS)"


def _journals() -> Iterator[Held]:
    """One walk through at most ``MOST`` sessions."""
    now = time.time()
    kinds = {
        "open": Held("journals", "when the conversation has ended and its run has the audio", "being written, or "
                     "waiting for the recovery of a session whose process died"),
        "waiting": Held("journals", f"{UNCLAIMED_SECONDS / 86400:.0f} days after the last audio, or when its run is "
                        "over", "finished, and a run needs it or may be started again"),
        "unclaimed": Held("journals", HOUSEKEEPING, "finished, and no run asked for it in its time"),
        "kept": Held("journals", _within(settings.OMI_AUDIO_KEEP), "released by its run, kept for a retry"),
        "released": Held("journals", HOUSEKEEPING, "released by its run"),
    }  # fmt: skip
    seen = list(islice(journal.sessions(), MOST + 1))
    for entry in seen[:MOST]:
        state = entry.meta.state
        if state == OPEN:
            kind = kinds["open"]
        elif state == FINISHED:
            kind = kinds["waiting" if entry.written_at() + UNCLAIMED_SECONDS > now else "unclaimed"]
        else:
            kind = kinds["kept" if (entry.meta.keep_until or 0.0) > now else "released"]
        kind.count += 1
        try:
            kind.size = (kind.size or 0) + entry.audio.stat().st_size
        except FileNotFoundError:
            continue
    for kind in kinds.values():
        kind.more = len(seen) > MOST
        yield kind


def _artifacts() -> Iterator[Held]:
    days = settings.OMI_ARTIFACT_KEEP_DAYS
    rows = StepArtifact.objects.all()
    answers = VendorCall.objects.filter(answer__isnull=False)
    for what, found, over in (
        ("results of steps", rows, Q(step__run__state=State.FINISHED, step__run__finished_at__lt=_ago(days))),
        ("answers of vendors", answers, Q(run__state=State.FINISHED, run__finished_at__lt=_ago(days))),
    ):
        yield from _by_age(what, found, over, days, "OMI_ARTIFACT_KEEP_DAYS", "a retry need not pay for them again")


def _runs() -> Iterator[Held]:
    days = settings.OMI_RUN_KEEP_DAYS
    runs = PostProcessingRun.objects.all()
    open_runs = Held("runs", f"{days} days after their end" if days else "with the user", "not over yet")
    yield _counted(open_runs, runs.exclude(state=State.FINISHED))
    over = Q(notified=True, finished_at__lt=_ago(days))
    ended = runs.filter(state=State.FINISHED)
    yield from _by_age("runs that are over", ended, over, days, "OMI_RUN_KEEP_DAYS", "support and the user see them")


def _by_age(
    what: str, rows: QuerySet[Any], over: Q, days: int, setting: str, why: str
) -> Iterator[Held]:  # fmt: skip
    if not days:
        yield _counted(Held(what, "with the memory or the user", f"{setting}=0 keeps them for ever"), rows)
        return
    yield _counted(Held(what, f"{days} days after the end of the run ({setting})", why), rows.exclude(over))
    yield _counted(Held(what, DAILY, "older than its time; the schedule has not come to it"), rows.filter(over))


def _rows() -> Iterator[Held]:
    for what, rows, kept, why in (
        ("events", UserEvent.objects.all(), EVENTS_KEPT, "a client that was away reads them"),
        ("vendors' callbacks", VendorCallback.objects.all(), CALLBACKS_KEPT, "a repeated one is told by them"),
        ("samples of the mirror", MirrorSample.objects.all(), SAMPLES_KEPT, "metrics read the newest"),
        ("submitted forms of staff", Submission.objects.all(), once.KEPT, "a second press is told by them"),
        ("webhooks' deliveries", WebhookDelivery.objects.all(), rules.KEPT, "the user reads and repeats them"),
    ):
        yield _counted(Held(what, f"{kept.days} days after they came", why), rows)
    goes, why = f"{ending.KEPT.days} days after the batch was done", "what came before is known by it"
    for model, what in ((SyncBatch, "batches"), (SyncFile, "files"), (SyncConversation, "conversations")):
        yield _counted(Held(f"offline recordings: {what}", goes, why), model.objects.all())
    days = f"{settings.OMI_CASE_KEEP_DAYS} days after they came (OMI_CASE_KEEP_DAYS)"
    yield _counted(Held("feedback", days, "support reads it, and learning is told by it"), Report.objects.all())
    month = f"{links.KEPT.days} days after they ended, or when the user revokes them"
    yield _counted(Held("links to memories", month, "whoever was given one opens it"), SharedLink.objects.all())
    undo = f"{reshaping.UNDO_FOR.days} days after it"
    held = ReshapedMemory.objects.filter(made=False, reshaping__state=Reshaping.State.DONE)
    yield _counted(Held("originals of merged and split memories", undo, "the user may undo it"), held)
    over = Reshaping.objects.filter(state__in=(Reshaping.State.FAILED, Reshaping.State.UNDONE))
    yield _counted(Held("merges and splits that failed or were undone", undo, "the app asks for their end"), over)
    yield _counted(Held("calendar feeds", "when the user revokes them", "calendars read them"), TaskFeed.objects.all())
    cases = LabelledCase.objects.all()
    yield _counted(Held("labelled cases", days, "what is learned and measured is held against them"), cases)


def _receipts() -> Iterator[Held]:
    done = ErasureReceipt.objects.filter(complete=True)
    left = ErasureReceipt.objects.filter(complete=False)
    why = "a store was out of reach; taken up every five minutes"
    yield _counted(Held("receipts of erasures", "never: digests and counts", "nothing erased comes back"), done)
    yield _counted(Held("erasures not complete", "when every store was reached", why), left)
    yield _counted(
        Held("marks of erased accounts", "never: digests", "tokens from before are refused"),
        ErasedAccount.objects.all(),
    )


def _ago(days: int) -> datetime:
    return timezone.now() - timedelta(days=days)


def _counted(line: Held, rows: QuerySet[Any], size: str = "") -> Held:
    some = rows.order_by()[: MOST + 1]
    found = some.aggregate(n=Count("pk"), **({"size": Sum(size)} if size else {}))
    line.count, line.more = min(found["n"], MOST), found["n"] > MOST
    if size:
        line.size = found["size"] or 0
    return line
