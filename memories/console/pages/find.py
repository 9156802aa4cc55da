"""The search box: any id goes to the page of what it names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from memories.console.models import Replay
from memories.console.pages.base import answer, needs
from memories.models import MemoryRow, ProcessingMemoryRow, SessionRow, UserEvent
from memories.offline.batches import UNFINISHED
from memories.offline.models import SyncBatch
from memories.pipeline.models import PostProcessingRun, VendorCall

EACH: Final = 10
LONGEST: Final = 200
BIGGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Hit:
    """What an id names, and where that is shown."""

    kind: str
    name: str
    address: str


@needs()
def find(request: HttpRequest) -> HttpResponse:
    """One hit: its page. Several, or none: a list that says so."""
    asked = str(request.GET.get("q", "")).strip()[:LONGEST]
    hits = look_up(asked) if asked else []
    if len({hit.address for hit in hits}) == 1:
        return redirect(hits[0].address)
    return answer(request, "find", "Search", asked=asked, hits=hits, status=200)


def look_up(asked: str) -> list[Hit]:
    """Return everything that has this id: of a memory, conversation, session, offline batch, run, call, replay, event
    or user. ``run 12``, ``call 12``, ``event 12``, ``replay 12`` ask for one kind. Each look-up is by an index.

    ``run 12``, ``call 12``, ``event 12``, ``replay 12`` ask for one kind. Each look-up is by an index.
    """
    kind, _, rest = asked.partition(" ")
    if rest and kind.lower() in ("run", "call", "event", "replay", "memory", "user", "session", "batch"):
        return [hit for hit in look_up(rest.strip().lstrip("#")) if hit.kind == kind.lower()]
    hits = [_memory(row) for row in MemoryRow.objects.filter(memory_id=asked)[:EACH]]
    uid, slash, memory_id = asked.rpartition("/")
    if slash:
        hits += [_memory(row) for row in MemoryRow.objects.filter(uid=uid, memory_id=memory_id)[:EACH]]
    conversations = ProcessingMemoryRow.objects.filter(processing_memory_id=asked)[:EACH]
    hits += [_conversation(row, "session") for row in conversations]
    sessions = SessionRow.objects.filter(session_id=asked).select_related("conversation")[:EACH]
    hits += [_conversation(row.conversation, "session") for row in sessions]
    hits += [_call(call) for call in VendorCall.objects.filter(reference=asked).order_by()[:EACH]] if asked else []
    hits += [_batch(batch) for batch in SyncBatch.objects.filter(pk=asked)]
    hits += _numbered(asked)
    if MemoryRow.objects.filter(uid=asked).exists() or PostProcessingRun.objects.filter(uid=asked).exists():
        hits.append(Hit("user", asked, reverse("admin:console_person", args=[asked])))
    return hits


def _numbered(asked: str) -> list[Hit]:
    text = asked.lstrip("#")
    if not text.isascii() or not text.isdecimal() or len(text) > 19 or int(text) > BIGGEST:
        return []
    number = int(text)
    hits = [_run(run) for run in PostProcessingRun.objects.filter(pk=number)]
    hits += [_call(call) for call in VendorCall.objects.filter(pk=number)]
    hits += [
        Hit("replay", f"{row.pk}: {row.name}", reverse("admin:console_replay", args=[row.pk]))
        for row in Replay.objects.filter(pk=number)
    ]
    for event in UserEvent.objects.filter(number=number).order_by("-created_at")[:EACH]:
        address = reverse("admin:memories_userevent_changelist") + f"?q={quote(event.uid)}"
        row = MemoryRow.objects.filter(uid=event.uid, memory_id=event.memory_id).first() if event.memory_id else None
        if row is not None:
            address = reverse("admin:memories_memoryrow_change", args=[row.pk])
        hits.append(Hit("event", f"number {event.number} of {event.uid} ({event.type})", address))
    return hits


def _batch(batch: SyncBatch) -> Hit:
    listed = batch.state in (*UNFINISHED, SyncBatch.State.FAILED)
    address = reverse("admin:console_offline") if listed else reverse("admin:console_person", args=[batch.uid])
    return Hit("batch", f"{batch.pk} of {batch.uid}, {batch.state}", address)


def _memory(row: MemoryRow) -> Hit:
    return Hit("memory", f"{row.memory_id} of {row.uid}", reverse("admin:memories_memoryrow_change", args=[row.pk]))


def _conversation(row: ProcessingMemoryRow, kind: str) -> Hit:
    memory = MemoryRow.objects.filter(uid=row.uid, memory_id=row.memory_id).first() if row.memory_id else None
    if memory is not None:
        return Hit(kind, _memory(memory).name, _memory(memory).address)
    address = reverse("admin:memories_processingmemoryrow_change", args=[row.pk])
    return Hit(kind, f"conversation {row.processing_memory_id} of {row.uid}", address)


def _run(run: PostProcessingRun) -> Hit:
    name = f"{run.pk} ({run.kind}, {run.outcome or run.state})"
    return Hit("run", name, reverse("admin:pipeline_postprocessingrun_change", args=[run.pk]))


def _call(call: VendorCall) -> Hit:
    if call.run_id is not None:
        address = reverse("admin:pipeline_postprocessingrun_change", args=[call.run_id])
    else:
        address = reverse("admin:pipeline_vendorcall_change", args=[call.pk])
    return Hit("call", f"{call.pk}: {call.vendor} {call.operation} {call.reference}", address)
