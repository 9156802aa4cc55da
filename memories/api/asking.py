"""``POST /v1/ask``: a question over one's memories (docs/search.md)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import date
from typing import Annotated

from asgiref.sync import sync_to_async
from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.utils import extend_schema
from pydantic import BaseModel, ConfigDict, Field, model_validator
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.errors import exception_handler
from memories.api.reading import body
from memories.api.shapes import Detail
from memories.asking import service
from memories.asking.shapes import Answer
from memories.pipeline import budgets
from omi.accounts.requests import uid_of
from omi.accounts.throttles import SearchRate, UserRate

Question = Annotated[str, Field(min_length=1, max_length=1000)]


class Before(BaseModel):
    question: Question
    answer: str = Field(default="", max_length=4000)


class AskBody(BaseModel):
    """``history``: what was asked before, oldest first, so that "and when was that?" is understood. ``start`` and
    ``end``: days in the user's zone; without them those that the question names."""

    model_config = ConfigDict(extra="forbid")

    question: Question
    history: list[Before] = Field(default_factory=list, max_length=6)
    start: date | None = None
    end: date | None = None
    stream: bool = Field(default=False, strict=True, description="answer as server-sent events")

    @model_validator(mode="after")
    def _days(self) -> AskBody:
        if (self.start is None) is not (self.end is None):
            raise ValueError("start and end belong together")
        if self.start and self.end and not (date(1970, 1, 2) <= self.start <= self.end < date(9999, 1, 1)):
            raise ValueError("start should not be after end")
        return self


class AskViewSet(viewsets.ViewSet):
    throttle_classes = [UserRate, SearchRate]

    @extend_schema(
        request=AskBody,
        responses={200: Answer, 422: Detail, 429: Detail, 503: Detail},
        description="Answers from passages of the user's memories and from nothing else; each sentence cites them. "
        "With `stream` the answer is `text/event-stream`: `passages`, `sentence` (each as it is there), `answer`.",
    )
    def create(self, request: Request) -> HttpResponseBase:
        """Ask a question over the memories."""
        asked = body(AskBody, request)
        uid = uid_of(request)
        budgets.spend(uid, searches=1)
        days = (asked.start, asked.end) if asked.start and asked.end else None
        earlier = [(item.question, item.answer) for item in asked.history]
        if not asked.stream:
            return Response(service.answered(uid, asked.question, earlier, days))
        events = service.ask(uid, asked.question, earlier, days)
        first = next(events)  # what cannot be searched is an error and no stream
        return StreamingHttpResponse(
            _frames(first, events),
            content_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )


async def _frames(first: service.Event, events: Iterator[service.Event]) -> AsyncIterator[str]:
    """Each event is made in a thread: the loop never waits for a model."""
    event: service.Event | None = first
    while event is not None:
        name, data = event
        yield f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
        try:
            event = await sync_to_async(_next, thread_sensitive=False)(events)
        except Exception as error:  # the status is sent: the last event says what went wrong
            answer = exception_handler(error, {})
            code = answer.status_code if answer is not None else 500
            yield f"event: error\ndata: {json.dumps({'status': code})}\n\n"
            return


def _next(events: Iterator[service.Event]) -> service.Event | None:
    return next(events, None)
