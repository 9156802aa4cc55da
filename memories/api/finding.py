"""``GET /v1/search``: where in the user's memories something was said (docs/search.md)."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from drf_spectacular.utils import extend_schema
from pydantic import AfterValidator, BaseModel, Field, field_validator
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.reading import Query, parameters, query
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.document_parts import MOST_TAGS
from memories.pipeline import budgets
from memories.search import query as searching
from memories.search.snippets import Place
from memories.shapes import Category, Memory
from omi.accounts.requests import uid_of
from omi.accounts.throttles import SearchRate, UserRate
from omi.accounts.users import zone_of
from omi.core.calendar import midnight
from omi.core.ids import checked
from omi.core.metrics import search_seconds

MOST_PEOPLE = 10


def _few(tags: str) -> str:
    if tags.count(",") >= MOST_TAGS:
        raise ValueError(f"should name at most {MOST_TAGS} tags")
    return tags


Folder = Annotated[str, Field(max_length=40, description="id of the folder it is in")] | None
Tags = (
    Annotated[
        str,
        AfterValidator(_few),
        Field(max_length=900, description="ids of tags, all of which it bears, with commas"),
    ]
    | None
)


class SearchQuery(Query):
    """The query of the search in a user's memories."""

    q: str = Field(min_length=1, max_length=1000, description="what is looked for")
    limit: int = Field(default=10, ge=1, le=50)
    start: date | None = Field(default=None, description="first day, in the user's time zone")
    end: date | None = Field(default=None, description="last day, in the user's time zone")
    people: str | None = Field(default=None, max_length=1300, description="ids of people who all speak, with commas")
    category: Category | None = None
    emotion: str | None = Field(default=None, max_length=64, description="that leads in a tenth of the measured time")
    language: str | None = Field(default=None, max_length=32)
    open_items: bool | None = Field(default=None, description="whether action items are left to do")
    discarded: Literal["no", "yes", "only"] = "no"
    folder: Folder = None
    tags: Tags = None

    @field_validator("people")
    @classmethod
    def _ids(cls, value: str | None) -> str | None:
        names = [checked(name) for name in (value or "").split(",") if name]
        if len(names) > MOST_PEOPLE:
            raise ValueError(f"should name at most {MOST_PEOPLE} people")
        return ",".join(names) or None


class PassageShown(BaseModel):
    """The best passage of a memory that was found. ``highlights``: offsets of the matched words in ``text``. ``start``
    and ``end`` in seconds of the recording."""

    text: str
    highlights: list[tuple[int, int]]
    start: float | None
    end: float | None
    segment: int | None
    speaker: str | None
    person_id: str | None
    is_user: bool


class FoundMemory(BaseModel):
    """A memory that was found, with its scores and the passages that match."""

    memory_id: str
    title: str
    emoji: str
    category: str
    created_at: datetime
    started_at: datetime | None
    language: str | None
    discarded: bool
    score: float
    semantic: float | None
    lexical: float | None
    matched: list[Literal["meaning", "words"]]
    passage: PassageShown | None


class FoundMemories(BaseModel):
    """The memories that were found, best first."""

    hits: list[FoundMemory]


class FindingViewSet(viewsets.ViewSet):
    """The search in a user's memories."""

    throttle_classes = [UserRate, SearchRate]

    @extend_schema(
        parameters=parameters(SearchQuery),
        responses={200: FoundMemories, 422: Detail, 429: Detail, 503: Detail},
        description="Passages by meaning and by words (names, numbers, acronyms, misspelled ones), best first.",
    )
    def retrieve(self, request: Request) -> Response:
        """Search the user's memories."""
        asked = query(SearchQuery, request)
        uid = uid_of(request)
        budgets.spend(uid, searches=1)
        began, outcome = time.perf_counter(), "failed"
        try:
            hits = searching.search(uid, asked.q, asked.limit, filters(asked, uid))
            outcome = "answered"
        finally:
            search_seconds.labels(outcome).observe(time.perf_counter() - began)
        return Response(as_json(FoundMemories(hits=[_shown(hit) for hit in hits])))


def filters(asked: SearchQuery, uid: str) -> searching.Filters:
    """What the query asks for, with days as moments of the user's zone."""
    zone = zone_of(uid) if asked.start or asked.end else ZoneInfo("UTC")
    return searching.Filters(
        start=midnight(asked.start, zone) if asked.start else None,
        end=midnight(asked.end + timedelta(days=1), zone) - timedelta(microseconds=1)
        if asked.end and asked.end < date.max
        else None,
        category=asked.category.value if asked.category else None,
        people=tuple(asked.people.split(",")) if asked.people else (),
        emotion=asked.emotion.strip().lower() if asked.emotion else None,
        language=asked.language,
        open_items=asked.open_items,
        include_discarded=asked.discarded == "yes",
        only_discarded=asked.discarded == "only",
        labels=labels_of(asked.folder, asked.tags),
    )


def labels_of(folder: str | None, tags: str | None) -> tuple[str, ...]:
    """Ids of the labels that a query asks for."""
    return tuple(dict.fromkeys(name for item in [folder or "", *(tags or "").split(",")] if (name := item.strip())))


def _shown(hit: searching.Hit) -> FoundMemory:
    memory = hit.memory
    return FoundMemory(
        memory_id=memory.id, title=memory.structured.title, emoji=memory.structured.emoji,
        category=memory.structured.category.value, created_at=memory.created_at, started_at=memory.started_at,
        language=memory.language, discarded=memory.discarded, score=hit.score, semantic=hit.semantic,
        lexical=hit.lexical, matched=hit.matched, passage=_passage(memory, hit.place),
    )  # fmt: skip


def _passage(memory: Memory, place: Place | None) -> PassageShown | None:
    if place is None:
        return None
    told: dict[str, Any] = {"speaker": None, "person_id": None, "is_user": False}
    if place.segment is not None:
        segment = memory.transcript_segments[place.segment]
        told = {"speaker": segment.speaker, "person_id": segment.person_id, "is_user": segment.is_user}
    return PassageShown(
        text=place.text, highlights=place.highlights, start=place.start, end=place.end, segment=place.segment, **told
    )
