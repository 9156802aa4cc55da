"""Searching the memories, and asking them."""

from __future__ import annotations

import time
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from pydantic import Field

from memories.api.asking import AskBody, in_turn
from memories.api.finding import SearchQuery, filters
from memories.api.reading import Query
from memories.asking import service
from memories.pages import label_choices
from memories.pages.edge import clock, given, page
from memories.pages.memory import name_of
from memories.pipeline import budgets
from memories.search import query as searching
from memories.search.snippets import Place
from memories.shapes import Category
from omi.accounts.principal import Principal
from omi.core.metrics import search_seconds
from speakers import people

MOST_BEFORE = 3
"""Questions and answers before this one that are handed on."""


class Words(Query):
    """The query of the search page: what is looked for."""

    q: str = Field(default="", max_length=1000)


@page("GET", cost="searches")
def search(request: HttpRequest, who: Principal) -> HttpResponse:
    """Passages by meaning and by words, best first, each with its moment."""
    names = people.names(who.uid)
    asked = given(Words, request.GET).q.strip()
    told: dict[str, Any] = {
        "q": asked, "here": "search", "categories": [item.value for item in Category], "given": request.GET,
        "people": sorted(names.items(), key=lambda item: item[1].casefold()), "hits": None,
        "labels": label_choices.choices(who.uid, [request.GET.get("folder", ""), request.GET.get("tags", "")]),
    }  # fmt: skip
    if asked:
        query = given(SearchQuery, request.GET)
        budgets.spend(who.uid, searches=1)
        began, outcome = time.perf_counter(), "failed"
        try:
            hits = searching.search(who.uid, query.q, query.limit, filters(query, who.uid))
            outcome = "answered"
        finally:
            search_seconds.labels(outcome).observe(time.perf_counter() - began)
        told["hits"] = [_shown(hit, names) for hit in hits]
    return render(request, "pages/search.html", told)


def _shown(hit: searching.Hit, names: dict[str, str]) -> dict[str, Any]:
    memory, place = hit.memory, hit.place
    speaks = None
    if place is not None and place.segment is not None:
        speaks = name_of(memory.transcript_segments[place.segment], names)
    return {
        "id": memory.id, "title": memory.structured.title, "emoji": memory.structured.emoji,
        "at": timezone.localtime(memory.started_at or memory.created_at), "speaker": speaks,
        "pieces": pieces(place) if place else [], "start": place.start if place else None,
        "clock": clock(place.start) if place and place.start is not None else "",
    }  # fmt: skip


def pieces(place: Place) -> list[tuple[str, bool]]:
    """The text cut at its highlights: (text, whether it is one). The template marks them, so nothing is markup."""
    cut, at = [], 0
    for start, end in place.highlights:
        cut += [(place.text[at:start], False), (place.text[start:end], True)]
        at = end
    return [piece for piece in [*cut, (place.text[at:], False)] if piece[0]]


@page("GET", "POST", cost="searches")
def ask(request: HttpRequest, who: Principal) -> HttpResponse:
    """A question over the memories, answered from passages only; what was asked before is carried by the form."""
    told: dict[str, Any] = {"here": "search", "answer": None, "question": "", "earlier": []}
    if request.method == "POST":
        questions, answers = request.POST.getlist("before"), request.POST.getlist("answered")
        before = [{"question": q, "answer": a[:4000]} for q, a in zip(questions, answers, strict=False)][-MOST_BEFORE:]
        asked = given(AskBody, {"question": request.POST.get("question", "").strip(), "history": before}, "body")
        earlier = [(item.question, item.answer) for item in asked.history]
        with in_turn(who.uid):
            budgets.spend(who.uid, searches=1)
            answer = service.answered(who.uid, asked.question, earlier)
        for passage in answer["passages"]:
            passage["clock"] = clock(passage["start"])
        text = " ".join(sentence["text"] for sentence in answer["sentences"])[:4000]
        told |= {"answer": answer, "question": asked.question, "earlier": earlier}
        told["carried"] = [*earlier, (asked.question, text or _("This is not in the memories."))][-MOST_BEFORE:]
    return render(request, "pages/ask.html", told)
