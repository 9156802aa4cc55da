"""``/v1/recaps``: what a day or a week was about (docs/search.md)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from drf_spectacular.utils import extend_schema
from pydantic import BaseModel, Field, RootModel
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.errors import invalid
from memories.api.reading import Query, parameters, query
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.pipeline import budgets
from memories.recaps import reading
from memories.recaps.models import Recap
from omi.accounts.requests import fence_of, uid_of

KINDS = ("day", "week")


class RecapBrief(BaseModel):
    """A recap in the list. ``making``: a worker has to make it (again); until then the earlier text stands, where there
    is one."""

    kind: Literal["day", "week"]
    first: date
    making: bool
    memories: int
    made_at: datetime | None


class RecapShown(RecapBrief):
    """A recap with its content. ``recap``: title, summary, memories, decisions, action_items, people, moods and quotes,
    with the moments that they come from; null while the first is being made. ``summary``: sentences of the language
    model that ``method`` names, each with its moment; empty without one."""

    recap: dict[str, Any] | None


class RecapList(RootModel[list[RecapBrief]]):
    """A page, newest first."""


class RecapsQuery(Query):
    """The query of the list of recaps, the newest first."""

    kind: Literal["day", "week"] | None = None
    before: date | None = Field(default=None, description="the first day of the last of the page before")
    limit: int = Field(default=30, ge=1, le=100)


class RecapViewSet(viewsets.ViewSet):
    """The recaps of the user's days and weeks."""

    @extend_schema(parameters=parameters(RecapsQuery), responses={200: RecapList, 422: Detail})
    def list(self, request: Request) -> Response:
        """The recaps of the user, newest first."""
        asked = query(RecapsQuery, request)
        rows = reading.of_user(uid_of(request), kind=asked.kind, before=asked.before, limit=asked.limit)
        return Response([as_json(RecapBrief(**_brief(row))) for row in rows])

    @extend_schema(responses={200: RecapShown, 404: Detail, 422: Detail})
    def retrieve(self, request: Request, kind: str, day: str) -> Response:
        """The recap of the day, or of the week in which the day lies."""
        row, told = reading.get(uid_of(request), _kind(kind), _day(day))
        return Response(as_json(RecapShown(**_brief(row), recap=told)))

    @extend_schema(
        request=None,
        responses={200: RecapBrief, 404: Detail, 422: Detail, 429: Detail},
        description="A worker makes it; also of a period that is not over yet. 404: no memories lie in it.",
    )
    def regenerate(self, request: Request, kind: str, day: str) -> Response:
        """Make the recap of a period again."""
        uid = uid_of(request)
        chosen = _kind(kind), _day(day)
        budgets.spend(uid, runs=1)
        row = reading.make_again(uid, *chosen, fence=fence_of(request))
        return Response(as_json(RecapBrief(**_brief(row))))


def _brief(row: Recap) -> dict[str, Any]:
    return {
        "kind": row.kind, "first": row.first, "making": row.due, "memories": row.memories, "made_at": row.made_at,
    }  # fmt: skip


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise invalid(("path", "kind"), "Input should be day or week")
    return kind


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text) if len(text) == 10 else date.min
    except ValueError:
        day = date.min
    if not date(1970, 1, 12) <= day <= date(9999, 1, 1):
        raise invalid(("path", "day"), "Input should be a date such as 2026-01-31")
    return day
