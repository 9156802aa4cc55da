"""What a user changes of one memory: the summary, names of voices, who may see it, which transcript, its end."""

from __future__ import annotations

from typing import Literal

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from pydantic import BaseModel, Field

from memories import editing
from memories.api.errors import ApiError
from memories.api.long_memories import in_turn
from memories.api.memories import put_in_order
from memories.api.reading import Query
from memories.api.shapes import EditMemory
from memories.pages.edge import given, page
from memories.pages.memory import back_to, name_of, segment_shown, weight_of
from memories.pages.voices import choices
from memories.pipeline import budgets, service
from memories.privacy import erasure
from memories.repository import memories as repository
from memories.shapes import Visibility
from omi.accounts.erased import fence_of
from omi.accounts.principal import Principal
from speakers import people

MOST_ID = 200
"""Characters of a segment's id: those of old documents may be longer than what is taken today."""


class VoiceQuery(Query):
    """The query of the page of one voice: a segment in which it speaks."""

    segment: str = Field(min_length=1, max_length=MOST_ID)


class NamedVoice(BaseModel):
    """The form that says who speaks. ``who``: ``user``, ``nobody``, ``new`` (with ``name``) or a person's id."""

    segment: str = Field(min_length=1, max_length=MOST_ID)
    who: str = Field(min_length=1, max_length=128)
    name: str = Field(default="", max_length=200)
    reach: Literal["voice", "segment"] = "voice"


class ShownTo(BaseModel):
    """The form that says who may see the memory."""

    visibility: Literal["private", "shared"]


class Activated(BaseModel):
    """The form that shows another transcript."""

    model: str = Field(min_length=1, max_length=100)
    version: str = Field(min_length=1, max_length=100)


@page("POST")
def texts(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Title and overview in the user's words; left empty, the machine's come back with the next run."""
    said = given(EditMemory, {name: request.POST[name] for name in ("title", "overview") if name in request.POST})
    changed = {name: getattr(said, name) for name in said.model_fields_set}
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        editing.set_texts(who.uid, memory_id, changed)
    messages.success(request, _("Saved. Your words win over every later run."))
    return back_to(memory_id)


@page("GET", "POST")
def voice(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Show and answer the page that asks who it is that speaks: asked for one passage, said of the whole voice or of
    this passage."""
    if request.method == "POST":
        return _named(request, who, memory_id, given(NamedVoice, request.POST, "body"))
    asked = given(VoiceQuery, request.GET)
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        found = repository.get_memory(who.uid, memory_id)
        names = people.names(who.uid)
        place = next((n for n, item in enumerate(found.transcript_segments) if item.id == asked.segment), None)
        if place is None:
            raise ApiError(404, _("This passage is not there any more."))
        segment = found.transcript_segments[place]
        told = {
            "memory": found, "segment": segment_shown(place, segment, names), "name": name_of(segment, names),
            "person_id": segment.person_id, "is_user": segment.is_user, "here": "timeline",
            **choices(found, segment, names), "people": sorted(names.items(), key=lambda item: item[1].casefold()),
        }  # fmt: skip
        return render(request, "pages/voice.html", told)


def _named(request: HttpRequest, who: Principal, memory_id: str, said: NamedVoice) -> HttpResponse:
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        found = repository.get_memory(who.uid, memory_id)
        segment = next((item for item in found.transcript_segments if item.id == said.segment), None)
        if segment is None:
            raise editing.UnresolvedTargets([said.segment])
        decision = _decision(who, said)
        whole = segment.speaker if said.reach == "voice" else None
        ids = editing.targets(found, speaker=whole, ids=[segment.id], indexes=[])
        editing.assign_segments(who.uid, memory_id, ids, decision, speaker=whole, learn=True)
    messages.success(request, _("Saved. The voice is known by this name from now on."))
    return back_to(memory_id, segment.start)


def _decision(who: Principal, said: NamedVoice) -> editing.Decision:
    if said.who == "user":
        return editing.Decision(is_user=True)
    if said.who == "nobody":
        return editing.Decision()
    if said.who != "new":
        return editing.Decision(person_id=people.get_person(who.uid, said.who).id)
    return editing.Decision(person_id=people.create_person(who.uid, said.name, fence=fence_of(who)).id)


@page("POST")
def visibility(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Share the memory by its link, or take that back."""
    value = given(ShownTo, request.POST, "body").visibility
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        editing.set_visibility(who.uid, memory_id, Visibility(value))
    messages.success(
        request, _("Whoever has the link can read it now.") if value == "shared" else _("Only you can read it now.")
    )
    return back_to(memory_id)


@page("POST")
def activate(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Show another transcript, and have the summary made from it."""
    said = given(Activated, request.POST, "body")
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        repository.require(who.uid, memory_id)
        service.bounded(who.uid, memory_id, settings.OMI_RETRIES_PER_DAY)
        budgets.spend(who.uid, runs=1)
        editing.activate_transcript(who.uid, memory_id, said.model, said.version)
    messages.success(request, _("This transcript is shown now. The summary is being made from it."))
    return back_to(memory_id)


@page("POST")
def keep(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Bring a memory back that was set aside: its summary is made again, and it is never set aside any more."""
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        put_in_order(who.uid, memory_id, {})
    messages.success(request, _("It is kept. Its summary is being made."))
    return back_to(memory_id)


@page("GET", "POST")
def delete(request: HttpRequest, who: Principal, memory_id: str) -> HttpResponse:
    """Erase the memory, after a question."""
    if request.method == "POST":
        erasure.erase_memory(who.uid, memory_id)
        if settings.OMI_RESTORE_DAYS > 0:
            messages.success(request, _("The memory is in the trash, from which you can bring it back."))
        else:
            messages.success(request, _("The memory is erased, with everything that hung on it."))
        return redirect("/app")
    with in_turn(who.uid, weight_of(who.uid, memory_id)):
        found = repository.get_memory(who.uid, memory_id)
    told = {"memory": found, "here": "timeline", "restorable": settings.OMI_RESTORE_DAYS > 0}
    return render(request, "pages/delete_memory.html", told)
