"""A memory with markup in every text: what people say, are called and type, and what vendors answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from emotions.base import EmotionScore, EmotionSpan, EmotionTimeline
from memories.console import audit
from memories.feedback.models import Report
from memories.models import MemoryRow
from memories.pipeline.models import PostProcessingRun, RunStep, StepAttempt, VendorCall
from memories.repository import emotions, transcripts
from memories.repository import memories as repository
from memories.shapes import (
    ActionItem,
    Event,
    Geolocation,
    Memory,
    Photo,
    PluginResult,
    PostProcessing,
    PostProcessingStatus,
    Structured,
)
from speakers import people
from transcription.segments import Segment

EVIL = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>{{ 7|add:7 }}\"'"


def spoil(row: MemoryRow) -> None:
    """Markup in every text of the memory and of what hangs on it: people, emotions, versions, runs, reports."""
    segments = [Segment(id="e", text=EVIL, speaker="SPEAKER_00", start=0, end=3, person_id=None)]
    structured = Structured(
        title=EVIL, overview=EVIL, emoji=EVIL, action_items=[ActionItem(description=EVIL, owner=EVIL)],
        events=[Event(title=EVIL, description=EVIL, start=datetime.now(UTC))],
    )  # fmt: skip
    person = people.create_person(row.uid, EVIL[:40])
    segments += [Segment(id="f", text=EVIL, speaker="SPEAKER_01", start=3, end=6, person_id=person.id)]

    def change(memory: Memory) -> dict[str, Any]:
        edits = memory.edits.model_copy(update={"title": EVIL, "overview": EVIL})
        told = PostProcessing(status=PostProcessingStatus.FAILED, model=EVIL, fail_reason=EVIL)
        return {
            "structured": structured, "transcript_segments": segments, "language": EVIL[:30], "source": EVIL[:60],
            "edits": edits, "external_data": {EVIL: EVIL},
            "geolocation": Geolocation(latitude=1, longitude=1, address=EVIL),
            "plugins_results": [PluginResult(content=EVIL)], "photos": [Photo(base64="", description=EVIL)],
            "postprocessing": told,
        }  # fmt: skip

    repository.mutate_memory(row.uid, row.memory_id, change)
    transcripts.save_transcript(
        row.uid, row.memory_id, "evil", segments, {"reasons": [EVIL], "figures": {EVIL: 1}, "accepted": False}
    )
    spans = [EmotionSpan(start=0, end=3, emotions=[EmotionScore(name=EVIL, score=0.9)])]
    emotions.save_emotions(
        row.uid, row.memory_id, EmotionTimeline(vendor=EVIL, model=EVIL, kind="estimate", spans=spans)
    )
    short, now = EVIL[:60], timezone.now()
    runs = PostProcessingRun.objects.filter(uid=row.uid, memory_id=row.memory_id)
    runs.update(reason=EVIL, detail=EVIL, actor=short)
    step = RunStep.objects.filter(run__in=runs, state="failed").latest("pk")
    StepAttempt.objects.create(
        step=step, number=99, fence=99, worker=short, started_at=now, finished_at=now, seconds=1, result="failed",
        outcome="upstream_error", vendor=short, error_code=short, detail=EVIL,
    )  # fmt: skip
    RunStep.objects.filter(run__in=runs).update(note=EVIL, output={EVIL: EVIL}, checkpoint={EVIL: EVIL})
    VendorCall.objects.filter(run__in=runs).update(vendor=short, reference=EVIL, error_code=short)
    audit.record("staff:x", "reveal", audit.memory(row.uid, row.memory_id), EVIL, {EVIL: EVIL})
    Report.objects.create(
        id="evil", uid=row.uid, memory_id=row.memory_id, key="evil", part="summary", reasons=[EVIL], text=EVIL,
        made_with={"summary": {"provider": EVIL, "model": EVIL, "version": EVIL}}, created_at=now,
        expires_at=now + timedelta(days=9),
    )  # fmt: skip
