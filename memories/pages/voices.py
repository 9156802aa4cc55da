"""Two voices of a memory that are one person, passages of a voice that are another, and taking that back."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from pydantic import BaseModel, Field

from memories import editing
from memories.api.changes import MergedVoices, SplitVoice
from memories.api.long_memories import in_turn
from memories.changes import making, voices
from memories.pages.edge import clock, given, page
from memories.pages.memory import back_to, name_of, segment_shown, weight_of
from memories.pipeline.rules import voices as rules
from memories.shapes import Memory
from omi.accounts.erased import fence_of
from omi.accounts.principal import Principal
from transcription.segments import Segment, speaker_number

PASSAGES = 100
"""Passages of a voice that one page offers to choose from, beginning around the one that was asked for."""


class Undone(BaseModel):
    """The form that takes a change of voices back."""

    change: str = Field(min_length=1, max_length=64)


@page("POST")
def merge(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Say that one voice is another one."""
    said = given(MergedVoices, {name: request.POST[name] for name in ("voice", "into") if name in request.POST}, "body")
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        voices.merge(who.uid, memory_id, said.voice, said.into, fence=fence_of(who))
    messages.success(request, _("They are one voice now."))
    return back_to(memory_id)


@page("POST")
def split(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Say that the chosen passages are another voice."""
    said = given(SplitVoice, {"segment_ids": request.POST.getlist("segment")}, "body")
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        changed, _label = voices.split(who.uid, memory_id, said.segment_ids, fence=fence_of(who))
    messages.success(request, _("These passages are another voice now. You can name it."))
    first = next(item for item in changed.transcript_segments if item.id in said.segment_ids)
    return back_to(memory_id, first.start)


@page("POST")
def undo(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Take a change of the voices back."""
    said = given(Undone, request.POST, "body")
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        making.undo(who.uid, memory_id, said.change, fence=fence_of(who))
    messages.success(request, _("This was undone."))
    return back_to(memory_id)


def choices(memory: Memory, segment: Segment, names: dict[str, str]) -> dict[str, Any]:
    """What the page of a passage offers of its voice: other voices, its passages, and changes to take back."""
    own = [item for item in memory.transcript_segments if item.speaker == segment.speaker]
    at = max(0, next(number for number, item in enumerate(own) if item.id == segment.id) - PASSAGES // 2)
    first: dict[str, Segment] = {}
    for item in memory.transcript_segments:
        first.setdefault(item.speaker, item)
    seconds: dict[str, float] = {}
    for voice in editing.speakers_of(memory, names):
        seconds[voice["speaker"]] = seconds.get(voice["speaker"], 0.0) + voice["seconds"]
    return {
        "voice": segment.speaker,
        "others": [
            (label, name_of(item, names), clock(seconds[label]))
            for label, item in first.items()
            if label != segment.speaker
        ],
        "passages": [segment_shown(0, item, names, meant=item.id == segment.id) for item in own[at : at + PASSAGES]]
        if len(own) > 1
        else [],
        "operations": [
            {
                "id": change.id, "merge": change.kind == "voice_merge", "at": change.at,
                "voice": speaker_number(change.voice), "into": speaker_number(change.into), "lost": change.orphaned,
            }
            for change in rules.active(memory.edits)[::-1]
        ],
    }  # fmt: skip
