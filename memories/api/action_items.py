"""``/v1/action-items``: the tasks of all memories, and their calendar feed (docs/editing.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from pydantic import BaseModel, ConfigDict, Field, model_validator
from rest_framework import viewsets
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.errors import ApiError
from memories.api.long_memories import PATIENCE_SECONDS, READS, InTurn, weight
from memories.api.reading import Query, body, parameters, query
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.changes import agenda, calendar
from memories.links import feeds
from memories.models import MemoryRow
from omi.accounts.requests import fence_of, uid_of
from omi.accounts.throttles import StrangerRate
from omi.core.moments import Moment


class TasksQuery(Query):
    """The query of the list of tasks."""

    state: agenda.State = "open"
    limit: int = Field(default=50, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=600, description="`next_cursor` of the page before")


class ChangedTask(BaseModel):
    """What is left out stays; null takes the due date away."""

    model_config = ConfigDict(extra="forbid")

    completed: bool | None = Field(default=None, strict=True)
    due_at: Moment | None = None

    @model_validator(mode="after")
    def _something(self) -> ChangedTask:
        if "completed" in self.model_fields_set and self.completed is None:
            raise ValueError("completed should be true or false")
        return self


class SaidIn(BaseModel):
    """Where a task was said: the memory with its title and time, and the item in it."""

    memory_id: str
    item_id: str
    title: str
    at: datetime


class TaskShown(BaseModel):
    """A task of one of the user's memories. ``memories``: where it was said, the first one first."""

    id: str
    description: str
    completed: bool
    owner: str | None
    due_at: datetime | None
    memories: list[SaidIn]


class TaskPage(BaseModel):
    """A page of tasks; ``next_cursor`` is null on the last one."""

    items: list[TaskShown]
    next_cursor: str | None


class FeedShown(BaseModel):
    """That the user has a calendar feed, and since when; its address is shown only when it is made."""

    created_at: datetime


class FeedWithSecret(FeedShown):
    """The only answer that holds the address."""

    url: str


class TaskViewSet(InTurn, viewsets.ViewSet):
    """Tasks of all memories of the user."""

    def weight(self, request: Request) -> int:
        """Return the bytes that the request reads. Of the memory that a change is written to; a list reads no long
        transcript."""
        memory_id = agenda.memory_of(self.kwargs.get("task_id", ""))
        uid = uid_of(request)
        return weight(MemoryRow.objects.filter(uid=uid, memory_id=memory_id)) if memory_id else 0

    @extend_schema(parameters=parameters(TasksQuery), responses={200: TaskPage, 422: Detail})
    def list(self, request: Request) -> Response:
        """Tasks, newest first; the same words within 14 days are one."""
        asked = query(TasksQuery, request)
        page = agenda.listed(uid_of(request), state=asked.state, limit=asked.limit, cursor=asked.cursor)
        shown = TaskPage(items=[_shown(task) for task in page.tasks], next_cursor=page.next_cursor)
        return Response(as_json(shown))

    @extend_schema(request=ChangedTask, responses={200: TaskShown, 404: Detail, 409: Detail, 422: Detail})
    def partial_update(self, request: Request, task_id: str) -> Response:
        """Tick a task off, or say when it is due, in every memory in which it was said."""
        given = body(ChangedTask, request)
        fields = {name: getattr(given, name) for name in given.model_fields_set}
        changed = agenda.change(uid_of(request), task_id, fields, fence=fence_of(request))
        return Response(as_json(_shown(changed)))


class FeedViewSet(viewsets.ViewSet):
    """The secret address under which calendars read the tasks."""

    @extend_schema(responses={200: FeedShown, 404: Detail})
    def retrieve(self, request: Request) -> Response:
        """Since when there is a feed."""
        found = feeds.find(uid_of(request))
        if found is None:
            raise ApiError(404, "There is no feed")
        return Response(as_json(FeedShown(created_at=found.created_at)))

    @extend_schema(
        request=None,
        responses={200: FeedWithSecret},
        description="Makes the feed. `url` is shown here and never again; an address that was made before ends.",
    )
    def create(self, request: Request) -> Response:
        """Make the feed, or give it another address."""
        made, secret = feeds.make(uid_of(request), fence=fence_of(request))
        url = f"{settings.OMI_PUBLIC_URL}/v1/action-items/feed/{secret}.ics"
        shown = as_json(FeedWithSecret(created_at=made.created_at, url=url))
        return Response(shown, headers={"Cache-Control": "no-store"})

    @extend_schema(responses={204: None, 404: Detail})
    def destroy(self, request: Request) -> Response:
        """Revoke the user's calendar feed: its address answers 404 from now on."""
        if not feeds.revoke(uid_of(request)):
            raise ApiError(404, "There is no feed")
        return Response(status=204)


class AnyAccept(DefaultContentNegotiation):
    """A calendar asks for ``text/calendar`` and gets it, and errors as JSON, whatever it accepts."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        """Take the first renderer, whatever the client accepts."""
        return renderers[0], renderers[0].media_type


class CalendarViewSet(viewsets.ViewSet):
    """What a calendar reads: the secret in the path is its permission."""

    authentication_classes = []
    permission_classes = [AllowAny]
    throttle_classes = [StrangerRate]
    content_negotiation_class = AnyAccept

    @extend_schema(
        auth=[],
        responses={(200, "text/calendar"): OpenApiResponse(response=str), 404: Detail, 429: Detail},
        description="Open tasks and calendar events as iCalendar (RFC 5545). 404 once it was revoked.",
    )
    def retrieve(self, request: Request, token: str) -> Any:
        """Return the calendar of the feed's owner."""
        uid = feeds.owner(token)
        if uid is None:
            raise ApiError(404, "There is no such feed")
        with READS.held(uid, per_user=1, in_all=2, patience=PATIENCE_SECONDS, may_wait=2):
            text = calendar.feed(uid)
        headers = {"Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer"}
        return HttpResponse(text, content_type="text/calendar; charset=utf-8", headers=headers)


def _shown(task: agenda.Task) -> TaskShown:
    places = [
        SaidIn(memory_id=memory.id, item_id=item_id, title=memory.structured.title, at=memory.created_at)
        for memory, item_id in task.said_in
    ]
    return TaskShown(
        id=task.id, description=task.item.description, completed=task.item.completed, owner=task.item.owner,
        due_at=task.due_at, memories=places,
    )  # fmt: skip
