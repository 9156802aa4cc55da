"""``POST /v1/ask``: a question over one's memories (docs/search.md)."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing
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
from omi.core.database_threads import pool
from omi.core.slots import Kept, Slots

Question = Annotated[str, Field(min_length=1, max_length=1000)]


class Before(BaseModel):
    """A question that was asked before, and its answer."""

    question: Question
    answer: str = Field(default="", max_length=4000)


class AskBody(BaseModel):
    """A question over the user's memories. ``history``: what was asked before, oldest first, so that "and when was
    that?" is understood. ``start`` and ``end``: days in the user's zone; without them those that the question names."""

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


QUESTIONS = Slots("questions", seconds=300.0)
PER_USER, PER_PROCESS = 2, 8
PATIENCE_SECONDS = 10.0
_THREADS = pool("questions", PER_PROCESS)


class AskViewSet(viewsets.ViewSet):
    """Answers to questions from the user's memories."""

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
        days = (asked.start, asked.end) if asked.start and asked.end else None
        earlier = [(item.question, item.answer) for item in asked.history]
        place = Kept(in_turn(uid))
        try:
            budgets.spend(uid, searches=1)
            if not asked.stream:
                with closing(place):
                    return Response(service.answered(uid, asked.question, earlier, days))
            events = service.ask(uid, asked.question, earlier, days)
            told = Told(next(events), events, place)  # what cannot be searched is an error and no stream
        except BaseException:
            place.close()
            raise
        return StreamingHttpResponse(
            Frames(told),
            content_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )


def in_turn(uid: str) -> AbstractContextManager[None]:
    """A place among the questions that are being answered. Raises omi.core.slots.Busy."""
    return QUESTIONS.held(uid, per_user=PER_USER, in_all=PER_PROCESS, patience=PATIENCE_SECONDS, may_wait=PER_USER)


class Told:
    """The events of one question. Its place is kept until its thread has nothing more to do, also where the client has
    left while a model was waited for: else one user's questions took all threads."""

    def __init__(self, first: service.Event, events: Iterator[service.Event], place: Kept) -> None:
        self._first: service.Event | None = first
        self._events, self._place = events, place
        self._at_work = threading.Lock()
        self._closed = False

    def next(self) -> service.Event | None:
        """The next event, in the thread of whoever calls; None at the end."""
        event: service.Event | None = None
        try:
            with self._at_work:
                event, self._first = self._first, None
                if event is None and not self._closed:
                    event = next(self._events, None)
        finally:
            if self._closed or event is None:
                self.close()
        return event

    def close(self) -> None:
        """Let go of the model and of the place, now or when the thread comes back from waiting."""
        self._closed = True
        if self._at_work.acquire(blocking=False):
            try:
                if isinstance(self._events, Generator):
                    self._events.close()
            finally:
                self._at_work.release()
                self._place.close()


class Frames:
    """The frames of a stream. An object, not a generator: also one that was never begun is closed with its answer."""

    def __init__(self, told: Told) -> None:
        self._told, self._over = told, False

    def __aiter__(self) -> Frames:
        return self

    async def __anext__(self) -> str:
        """Each event is made in a thread of a pool of its own: nobody's audio waits for a model."""
        if self._over:
            raise StopAsyncIteration
        try:
            event = await sync_to_async(self._told.next, thread_sensitive=False, executor=_THREADS)()
        except Exception as error:  # the status is sent: the last event says what went wrong
            self._over = True
            self._told.close()
            answer = exception_handler(error, {})
            code = answer.status_code if answer is not None else 500
            return f"event: error\ndata: {json.dumps({'status': code})}\n\n"
        except BaseException:  # the client has left while the next event was made
            self._over = True
            self._told.close()
            raise
        if event is None:
            self._over = True
            raise StopAsyncIteration
        name, data = event
        return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"

    def close(self) -> None:
        """Django calls it at the end of the answer, whatever that was."""
        self._told.close()
