"""A misheard word put right in old transcripts: looked at first, taken back as a whole."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from pydantic import Field

from memories.api.healing import Asked, AskedHealing, AskedPreview, HealingShown, shown_of
from memories.api.reading import Query
from memories.changes import healing
from memories.learning import words
from memories.pages.edge import clock, given, page
from omi.accounts.erased import fence_of
from omi.accounts.principal import Principal

PATH = "/app/healing"


class Wanted(Query):
    """What the form asks for; nothing yet where the page is opened."""

    heard: str = Field(default="", max_length=1000)
    term: str = Field(default="", max_length=1000)
    cursor: str | None = Field(default=None, max_length=200)


@page("GET", "POST", cost="searches")
def heal(request: HttpRequest, who: Principal) -> HttpResponse:
    """The form, and the places that would change; posted to, the change itself."""
    if request.method == "POST":
        return _done(request, who)
    asked = given(Wanted, request.GET.dict())
    left_out = request.GET.getlist("left_out")[:200]
    told: dict[str, Any] = {"asked": asked, "left_out": left_out, "here": "settings", "offers": words.offered(who.uid)}
    told["healings"] = shown_of(healing.of_user(who.uid))
    if asked.heard or asked.term:
        wanted = given(AskedPreview, {"heard": asked.heard, "term": asked.term, "cursor": asked.cursor})
        found = healing.preview(who.uid, wanted.heard, wanted.term, wanted.cursor)
        told["next"] = found.next_cursor
        told["memories"] = [
            {
                "id": memory_id,
                "places": [(place, clock(place.start)) for place in places],
                "more": found.more_places.get(memory_id, 0),
            }
            for memory_id, places in ((name, list(these)) for name, these in groupby(found.places, _memory))
        ]
    return render(request, "pages/healing.html", told)


@page("POST")
def step(request: HttpRequest, who: Principal, healing_id: str, way: str) -> HttpResponse:
    """Go on with a healing (``go-on``), or take it back (``undo``)."""
    act = {"go-on": healing.go_on, "undo": healing.undo}.get(way)
    if act is None:
        raise healing.NoSuchHealing(healing_id)
    [shown] = shown_of([act(who.uid, healing_id, fence=fence_of(who))])
    messages.success(request, _sentence(shown))
    return redirect(PATH)


def _done(request: HttpRequest, who: Principal) -> HttpResponse:
    form = request.POST
    asked = given(Asked, {"heard": form.get("heard", ""), "term": form.get("term", "")}, "body")
    if "more" in form:
        more = {**asked.model_dump(), "cursor": form["more"], "left_out": form.getlist("left_out")[:200]}
        return redirect(f"{PATH}?{urlencode(more, doseq=True)}")
    wanted = given(AskedHealing, {**asked.model_dump(), "left_out": form.getlist("left_out")}, "body")
    made = healing.begin(who.uid, wanted.heard, wanted.term, left_out=wanted.left_out, fence=fence_of(who))
    messages.success(request, _sentence(*shown_of([made])))
    return redirect(PATH)


def _sentence(shown: HealingShown) -> str:
    if shown.state == "undone":
        return _("Taken back.")
    if shown.state == "undoing":
        return _("Taken back in a part of the memories. Press again for the rest.")
    many = ngettext("Put right in %(n)d memory.", "Put right in %(n)d memories.", shown.memories)
    told = many % {"n": shown.memories}
    return f"{told} {_('There may be more: go on for the rest.')}" if shown.state == "going_on" else told


def _memory(place: healing.Place) -> str:
    return place.memory_id
