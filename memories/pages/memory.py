"""One memory: what was said, by whom, how; its recording and its files."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from pydantic import Field

from emotions.base import EmotionTimeline
from memories import editing
from memories.admin import pictures
from memories.api.downloads import Format, file_of
from memories.api.errors import ApiError
from memories.api.long_memories import in_turn, weight
from memories.api.reading import Query
from memories.api.recordings import recording_of
from memories.models import MemoryRow
from memories.pages import label_choices
from memories.pages.edge import clock, given, page
from memories.repository import emotions, transcripts
from memories.repository import memories as repository
from memories.reshaping import records
from memories.shapes import Memory, Visibility
from memories.templates import store
from omi.accounts.principal import Principal
from omi.accounts.users import get_user
from omi.stores.ranged import ranged
from speakers import people
from speakers.explain import explain
from transcription.segments import Segment, end_of

SHOWN = 400
"""Segments of one page."""
COLOURS = 8
EMOTIONS = 6
LATEST = 10_000_000.0


class MemoryQuery(Query):
    """The query of a memory's page: the first segment shown, and the moment (s) that a link points to."""

    start: int = Field(default=0, ge=0, le=1_000_000, alias="from")
    t: float | None = Field(default=None, ge=0, le=LATEST, allow_inf_nan=False)


@page("GET")
def memory(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """The page of a memory. ``t``: the moment that a link points to; ``from``: the first segment that is shown."""
    asked = given(MemoryQuery, request.GET)
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        try:
            found = repository.get_memory(who.uid, memory_id)
        except repository.MemoryNotFound:
            instead = records.replacement_of(who.uid, memory_id)
            if instead is None:
                raise
            return back_to(instead)
        names = people.names(who.uid)
        at = _segment_at(found, asked.t)
        first = (asked.start if at is None else at) // SHOWN * SHOWN
        timeline = emotions.load_emotions(who.uid, memory_id)
        segments = found.transcript_segments
        labels = label_choices.choices(who.uid, found.edits.labels())
        told = {
            "templates": store.listed(who.uid, get_user(who.uid).language),
            "sections": [
                (section.heading, [(point, clock(point.start)) for point in section.points])
                for section in found.structured.sections
            ],
            "labels": labels, "bears": [label for kind in labels.values() for label, chosen in kind if chosen],
            "memory": found, "at": timezone.localtime(found.started_at or found.created_at),
            "length": clock(end_of(segments)),
            "segments": [
                segment_shown(number, item, names, meant=number == at)
                for number, item in enumerate(segments[first : first + SHOWN], first)
            ],
            "voices": _voices(who.uid, found, names), "moment": asked.t, "count": len(segments),
            "before": max(0, first - SHOWN) if first else None,
            "after": first + SHOWN if first + SHOWN < len(segments) else None,
            "recording": recording_of(who.uid, memory_id) is not None,
            "emotions": _emotions(timeline), "timeline": timeline, "formats": list(Format),
            "undoable": records.undoable(who.uid, memory_id) if found.made_from else None,
            "shared": found.visibility is not Visibility.PRIVATE, "here": "timeline",
            "parts": [("transcript", _("Transcript")), ("speakers", _("Speakers")), ("summary", _("Summary")),
                      *([("emotion", _("Emotions"))] if timeline else [])],
        }  # fmt: skip
        return render(request, "pages/memory.html", told)


@page("GET")
def transcripts_of(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Every transcript that was made of the memory, to go back to another one."""
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        found = repository.get_memory(who.uid, memory_id)
        stored = transcripts.all_versions(who.uid, memory_id, memory=found)
        shown = [
            {
                "model": item.model, "version": item.version, "active": item.active, "created_at": item.created_at,
                "rejected": item.meta.get("accepted") is False,
                "beginning": " ".join(segment.text for segment in item.segments[:3])[:300],
            }
            for versions in stored.values()
            for item in versions
        ]  # fmt: skip
        told = {"memory": found, "versions": shown, "here": "timeline"}
        return render(request, "pages/transcripts.html", told)


@page("GET")
def audio(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponseBase:
    """The kept recording, from any point."""
    repository.require(who.uid, memory_id)
    found = recording_of(who.uid, memory_id)
    if found is None:
        raise ApiError(404, _("No recording of this memory is kept."))
    return ranged(request, found)


@page("GET")
def waveform(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """How loud the recording is over time, as a picture."""
    repository.require(who.uid, memory_id)
    found = recording_of(who.uid, memory_id)
    if found is None:
        raise ApiError(404, _("No recording of this memory is kept."))
    return HttpResponse(pictures.picture_of(found), content_type="image/svg+xml")


@page("GET")
def download(request: HttpRequest, who: Principal, memory_id: str, file_format: str) -> HttpResponse:
    """The memory as a file."""
    return file_of(who.uid, memory_id, file_format)


def weight_of(uid: str, memory_id: str) -> int:
    """Bytes of the memory, nearly."""
    return weight(MemoryRow.objects.filter(uid=uid, memory_id=memory_id))


def back_to(memory_id: str, moment: float | None = None) -> HttpResponse:
    """Redirect to the memory's page, at a moment of it in seconds."""
    return redirect(f"/app/memories/{quote(memory_id, safe='')}" + ("" if moment is None else f"?t={moment:.2f}#meant"))


def name_of(segment: Segment, names: dict[str, str]) -> str:
    """Who says it, as people read it."""
    if segment.is_user:
        return _("You")
    return names.get(segment.person_id or "") or _("Speaker %(number)d") % {"number": segment.speaker_id}


def segment_shown(number: int, segment: Segment, names: dict[str, str], *, meant: bool = False) -> dict[str, Any]:
    """A segment for a template."""
    return {
        "number": number, "id": segment.id, "text": segment.text, "start": segment.start, "end": segment.end,
        "clock": clock(segment.start), "name": name_of(segment, names), "meant": meant,
        "colour": 0 if segment.is_user else 1 + segment.speaker_id % (COLOURS - 1),
    }  # fmt: skip


def _segment_at(found: Memory, moment: float | None) -> int | None:
    """The last segment that has begun at that moment; None where no moment is asked for."""
    if moment is None or not found.transcript_segments:
        return None
    begun = (number for number, item in enumerate(found.transcript_segments) if item.start <= moment + 0.01)
    return max(begun, default=0)


def _voices(uid: str, found: Memory, names: dict[str, str]) -> list[dict[str, Any]]:
    """Who speaks for how long, and why the voice has the name that it has."""
    told = {voice["speaker"]: voice for voice in explain(uid, found.id)["voices"]}
    first: dict[tuple[str, bool, str | None], Segment] = {}
    for item in found.transcript_segments:
        first.setdefault((item.speaker, item.is_user, item.person_id), item)
    shown = []
    for voice in editing.speakers_of(found, names)[:40]:
        segment = first[(voice["speaker"], voice["is_user"], voice["person_id"])]
        decision = told.get(voice["speaker"])
        shown.append(
            {
                "name": name_of(segment, names), "clock": clock(voice["seconds"]), "segment": segment.id,
                "colour": 0 if voice["is_user"] else 1 + voice["speaker_id"] % (COLOURS - 1),
                "sentence": _("You said so.") if voice["decided_by_user"] else (decision or {}).get("sentence", ""),
                "suggestion": ((decision or {}).get("suggestion") or {}).get("sentence", ""),
            }
        )  # fmt: skip
    return shown


def _emotions(timeline: EmotionTimeline | None) -> list[dict[str, Any]]:
    """The strongest emotions: their mean over the measured time, in percent."""
    sums: dict[str, float] = defaultdict(float)
    whole = 0.0
    for span in timeline.spans if timeline else ():
        seconds = max(0.0, span.end - span.start)
        whole += seconds
        for item in span.emotions:
            sums[item.name] += item.score * seconds
    strongest = sorted(sums.items(), key=lambda item: -item[1])[:EMOTIONS]
    return [{"name": name, "percent": round(100 * value / whole)} for name, value in strongest if whole]
