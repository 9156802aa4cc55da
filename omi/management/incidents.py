"""What the prepared incidents need that no client can bring about: rows as a frozen worker or an earlier version of
this server would have left them. Only ``manage.py simulate`` calls it, on its own throw-away data folder."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from memories.console import failures
from memories.pipeline import service
from memories.pipeline.engine import plans
from memories.pipeline.models import PostProcessingRun, RunStep
from memories.pipeline.states import Kind, State, StepState
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Memory
from omi.stores import audio
from speakers.models import SpeakerDecision
from transcription.segments import Segment

NONSENSE = "the wreck of people needs to hundred crumbs of flower tree aches and a lemming"


def stuck(uid: str, memory_id: str) -> None:
    """A run that a worker of another machine took, and has shown no sign of life in since."""
    now, lease = timezone.now(), timedelta(seconds=settings.OMI_LEASE_SECONDS)
    silent = now - lease * 0.55
    with transaction.atomic():
        last = PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id, kind=Kind.POSTPROCESS).latest("id")
        run = PostProcessingRun.objects.create(
            uid=uid, memory_id=memory_id, kind=last.kind, actor=f"user:{uid}", options=last.options, plan=last.plan,
            follows=last, audio=last.audio, audio_sha256=last.audio_sha256, state=State.RUNNING, claims=1,
            total_claims=1, fence=1, lease_owner="another-machine:4711:1", lease_until=silent + lease,
            heartbeat_at=silent, started_at=silent, step_started_at=silent, current_step="transcribe",
        )  # fmt: skip
        RunStep.objects.bulk_create(
            RunStep(run=run, name=name, position=position) for position, name in enumerate(run.plan)
        )
        PostProcessingRun.objects.filter(pk=run.pk).update(created_at=silent)
    RunStep.objects.filter(run=run, name="transcribe").update(state=StepState.WAITING, started_at=silent)


def damaged(uid: str, memory_id: str) -> None:
    """A recording whose stored bytes are not audio any more (a disk that lies), and its run."""
    body = b"OggS\x00\x02" + random.Random(7).randbytes(40_000)
    kept = audio.put(uid, "upload", body, memory_id=memory_id, keep_for=timedelta(hours=24))
    service.start(Kind.POSTPROCESS, uid, memory_id, actor=f"user:{uid}", reason="recording uploaded", audio=kept)


def many(uid: str, count: int) -> None:
    """Make ``count`` memories whose summaries failed for one reason."""
    now = timezone.now()
    for number in range(count):
        said = [Segment(id=f"s{number}", text=f"we meet at the station at noon on day {number}", speaker="SPEAKER_00",
                        is_user=True, start=0.0, end=6.0)]  # fmt: skip
        memory_id = f"{uid}-{number}"
        version = transcripts.save_transcript(uid, memory_id, "deepgram_streaming", said, {"source": "live"})
        repository.create_memory(
            uid,
            Memory(
                id=memory_id, created_at=now, language="en", transcript_segments=said,
                active_transcript="deepgram_streaming", active_version=version,
            ),
        )  # fmt: skip
        with transaction.atomic():
            run = PostProcessingRun.objects.create(
                uid=uid, memory_id=memory_id, kind=Kind.REPROCESS, actor=f"user:{uid}", options={"force": True},
                plan=plans.plan_for(Kind.REPROCESS), state=State.FINISHED, outcome="quota", message_id="vendor_quota",
                current_step="structure", finished_at=now, notified=True,
            )  # fmt: skip
            RunStep.objects.bulk_create(
                RunStep(run=run, name=name, position=position) for position, name in enumerate(run.plan)
            )
            failures.count(run.pk, uid, step="structure", vendor="openai", message_id="vendor_quota", at=now)


def changed(uid: str, count: int) -> None:
    """The first ``count`` of these show another transcript now, as a run that follows may have it."""
    for number in range(count):
        memory_id = f"{uid}-{number}"
        other = [Segment(id=f"n{number}", text="and now for something else", speaker="SPEAKER_00", start=0.0, end=6.0)]
        version = transcripts.save_transcript(uid, memory_id, "deepgram_nova", other, {"source": "postprocess"})
        update = {"active_transcript": "deepgram_nova", "active_version": version, "transcript_segments": other}
        repository.mutate_memory(uid, memory_id, lambda _, update=update: update)  # type: ignore[misc]


def worse(uid: str, memory_id: str) -> None:
    """A transcript that says other words, shown in place of the one from the live session."""
    now = timezone.now()
    memory = repository.get_memory(uid, memory_id)
    good = list(memory.transcript_segments)
    transcripts.save_transcript(uid, memory_id, "deepgram_streaming", good, {"source": "live"})
    bad = [Segment(id="worse-1", text=NONSENSE, speaker="SPEAKER_00", is_user=True, start=0.0, end=14.0)]
    meta = {"accepted": True, "reason": "an override let it through", "source": "postprocess"}
    version = transcripts.save_transcript(uid, memory_id, "deepgram_nova", bad, meta)

    def change(_: Memory) -> dict[str, Any]:
        return {"active_transcript": "deepgram_nova", "active_version": version, "transcript_segments": bad}

    repository.mutate_memory(uid, memory_id, change)
    service.start(Kind.REPROCESS, uid, memory_id, actor="pipeline", reason="new transcript", options={"force": True})
    assert now <= timezone.now()


def speaker(uid: str, memory_id: str, person: str) -> None:
    """The words of the user are called another person's."""

    def change(memory: Memory) -> dict[str, Any]:
        wrong = [
            segment.model_copy(update={"is_user": False, "person_id": person}) if segment.is_user else segment
            for segment in memory.transcript_segments
        ]
        return {"transcript_segments": wrong}

    repository.mutate_memory(uid, memory_id, change)
    SpeakerDecision.objects.filter(uid=uid, memory_id=memory_id, is_user=True).update(is_user=False, person_id=person)
