"""Merging memories, splitting one at a passage, and taking either back."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from pydantic import Field

from memories.api.errors import ApiError
from memories.api.long_memories import in_turn, weight
from memories.api.reading import Query
from memories.api.reshaping import MergeMemories
from memories.models import MemoryRow
from memories.pages.edge import given, page
from memories.pages.memory import segment_shown, weight_of
from memories.repository import memories as repository
from memories.reshaping import asking, plans, records, splitting
from memories.reshaping.models import Reshaping
from omi.accounts.erased import fence_of
from omi.accounts.principal import Principal
from speakers import people

SHOWN = 50


class Passage(Query):
    """The query of the page that splits a memory: the first segment of the second one."""

    segment: str = Field(min_length=1, max_length=200)


@page("POST", cost="creates")
def merge(request: HttpRequest, who: Principal) -> HttpResponse:
    """Have the memories that were chosen on the timeline become one."""
    chosen = list(dict.fromkeys(request.POST.getlist("memory")))
    if len(chosen) < 2:
        messages.error(request, _("Choose two memories or more."))
        return redirect("/app?choose=true")
    asked = given(MergeMemories, {"memory_ids": chosen}, "body")
    rows = MemoryRow.objects.filter(uid=who.uid, memory_id__in=asked.memory_ids)
    with in_turn(who.uid, weight(rows)):
        return _to(asking.merge(who.uid, asked.memory_ids, fence=fence_of(who)))


@page("GET", "POST", cost="creates")
def split(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Have a memory become two at a passage, after a question."""
    if request.method == "POST":
        said = given(Passage, request.POST, "body")
        with in_turn(who.uid, weight_of(who.uid, memory_id)):
            return _to(asking.split(who.uid, memory_id, said.segment, fence=fence_of(who)))
    wanted = given(Passage, request.GET).segment
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        found = repository.get_memory(who.uid, memory_id)
        before, behind = splitting.halves(found, wanted)
        if not any(item.id == wanted for item in behind):
            raise ApiError(404, _(plans.REASONS["no_segment"]))
        names = people.names(who.uid)
        told = {
            "memory": found, "first": segment_shown(0, before[-1], names) if before else None,
            "second": segment_shown(0, behind[0], names), "here": "timeline",
            "possible": splitting.cut_at(found, wanted) is not None, "days": records.UNDO_FOR.days,
        }  # fmt: skip
        return render(request, "pages/split.html", told)


@page("GET")
def listed(request: HttpRequest, who: Principal) -> HttpResponse:
    """What was merged and split, newest first, and what can still be undone."""
    rows = records.listed(who.uid, memory_id=None, limit=SHOWN)
    names = [memory_id for row in rows for memory_id in records.made(row)]
    titles = {name: memory.structured.title for name, memory in repository.get_memories(who.uid, names).items()}
    told = {"rows": [_shown(row, titles) for row in rows], "here": "timeline", "days": records.UNDO_FOR.days}
    return render(request, "pages/reshapings.html", told)


@page("GET")
def one(request: HttpRequest, who: Principal, reshaping_id: str) -> HttpResponse:
    """How far a merge, a split or its undoing is; the page looks again by itself until it is over."""
    row = records.find(who.uid, reshaping_id)
    found = repository.get_memories(who.uid, [*records.made(row), *records.originals(row)])
    titles = {name: memory.structured.title for name, memory in found.items()}
    return render(request, "pages/reshaping.html", {"row": _shown(row, titles), "here": "timeline"})


@page("POST")
def undo(request: HttpRequest, who: Principal, reshaping_id: str) -> HttpResponse:
    """Bring the originals back as they were."""
    return _to(asking.undo(who.uid, reshaping_id, fence=fence_of(who)))


def _shown(row: Reshaping, titles: dict[str, str]) -> dict[str, Any]:
    """A reshaping for a template. ``shown``: the memories that are there now, with their titles."""
    made = row.state in (Reshaping.State.DONE, Reshaping.State.UNDOING)
    there = records.made(row) if made else records.originals(row)
    return {
        "id": row.pk, "merge": row.kind == Reshaping.Kind.MERGE, "state": row.state, "at": row.created_at,
        "count": len(records.originals(row)), "waits": not row.finished,
        "recording": row.recording, "reason": _(plans.REASONS[row.code]) if row.code in plans.REASONS else "",
        "until": records.undo_until(row) if row.finished else None,
        "shown": [(name, titles[name]) for name in there if name in titles],
    }  # fmt: skip


def _to(row: Reshaping) -> HttpResponse:
    return redirect(f"/app/reshapings/{quote(row.pk, safe='')}")
