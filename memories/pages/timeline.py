"""The memories, newest first, by day."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from pydantic import Field

from memories.api.finding import Folder, Tags
from memories.api.long_memories import in_turn, weight
from memories.api.memories import ListQuery, page_of, rows_of
from memories.api.reading import Query
from memories.labels import store
from memories.pages import label_choices
from memories.pages.edge import clock, given, page
from memories.reshaping import plans
from memories.shapes import Memory
from omi.accounts.principal import Principal
from speakers import people
from transcription.segments import end_of

SHOWN = 30
"""Memories of one page."""


class TimelineQuery(Query):
    """The query of the page of memories by day."""

    cursor: str | None = Field(default=None, max_length=2000)
    discarded: bool = False
    aside: bool = Field(default=False, description="what was set aside, and nothing else")
    folder: Folder = None
    tags: Tags = None
    choose: bool = Field(default=False, description="with boxes, to merge some")

    def address(self, **changed: str) -> str:
        """Return this query without its cursor as text, for an address; ``changed`` replaces parameters ("": without
        them)."""
        told = {name: "true" if getattr(self, name) else "" for name in ("discarded", "aside", "choose")}
        asked = {"folder": self.folder or "", "tags": self.tags or "", **told, **changed}
        return urlencode({name: value for name, value in asked.items() if value})


@page("GET")
def timeline(request: HttpRequest, who: Principal) -> HttpResponse:
    """One page of the memories; the cursor goes on where it ended, whatever came meanwhile."""
    asked = given(TimelineQuery, request.GET)
    listed = ListQuery(
        limit=SHOWN, cursor=asked.cursor, include_discarded=asked.discarded, only_discarded=asked.aside,
        folder=asked.folder, tags=asked.tags,
    )  # fmt: skip
    called = store.names(who.uid)
    chosen = label_choices.require(called, listed.labels)
    with in_turn(who.uid, weight(rows_of(who.uid, listed), listed=True)):
        found = page_of(who.uid, listed)
        names = people.names(who.uid)
        shown = [_row(memory, names, called) for memory in found.memories]
        days = [{"day": day, "memories": list(rows)} for day, rows in groupby(shown, key=lambda row: row["day"])]
        told = {
            "days": days, "cursor": found.next_cursor, "first": not asked.cursor, "discarded": asked.discarded,
            "here": "timeline", "today": timezone.localdate(), "chosen": chosen, "aside": asked.aside,
            "more": asked.address(),
            "with_aside": asked.address(discarded="true"), "without_aside": asked.address(discarded="", aside=""),
            "choosing": asked.address(choose="true"),
            "choose": asked.choose, "most": plans.MOST_MEMORIES,
        }  # fmt: skip
        return render(request, "pages/timeline.html", told)


def _row(memory: Memory, names: dict[str, str], called: dict[str, str]) -> dict[str, Any]:
    at = timezone.localtime(memory.started_at or memory.created_at)
    spoke = {item.person_id for item in memory.transcript_segments if item.person_id}
    items = memory.structured.action_items
    return {
        "id": memory.id, "at": at, "day": at.date(), "emoji": memory.structured.emoji,
        "title": memory.structured.title, "overview": memory.structured.overview[:400],
        "category": memory.structured.category.value, "discarded": memory.discarded,
        "length": clock(end_of(memory.transcript_segments)),
        "people": sorted(names[person] for person in spoke if person in names)[:6],
        "labels": [called[name] for name in memory.edits.labels() if name in called],
        "open_items": sum(not item.completed for item in items),
    }  # fmt: skip
