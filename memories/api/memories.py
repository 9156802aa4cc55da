"""``/v1/memories``: create, list, get, delete, reprocess, photos, emotions (docs/reference/app-protocol.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from pydantic import Field
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from memories import editing
from memories.api.errors import ApiError, invalid
from memories.api.finding import Folder, Tags, labels_of
from memories.api.long_memories import InTurn, weight
from memories.api.reading import Query, body, parameters, query
from memories.api.rendering import as_json, conditional, etag
from memories.api.shapes import CreatedMemory, Detail, EditMemory, Emotions, PhotoList
from memories.capture import create
from memories.feedback import corrections
from memories.mirror import rows as mirror
from memories.models import MemoryRow
from memories.pipeline import budgets, service
from memories.posted_memory import CreateMemory
from memories.privacy import erasure
from memories.repository import emotions, listing, tombstones
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.accounts.requests import fence_of, uid_of
from omi.accounts.throttles import CreateRate, UserRate

NOT_FOUND = {404: Detail}
MAX_PHOTOS = 400
"""Each is a document of its own, and a transaction writes 500."""


class CreateQuery(Query):
    """The query of a memory that the app creates from segments or photos."""

    trigger_integrations: bool
    language_code: str | None = Field(default=None, max_length=16)
    source: str | None = Field(default=None, max_length=64)


class ListQuery(Query):
    """The query of the list of memories, the newest first."""

    limit: int = Field(default=100, ge=1, le=500)
    offset: int = Field(default=0, ge=0, le=1_000_000)
    cursor: str | None = Field(default=None, description="`X-Next-Cursor` of the page before; wins over `offset`")
    include_discarded: bool = True
    only_discarded: bool = Field(default=False, description="what was set aside, and nothing else")
    folder: Folder = None
    tags: Tags = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Ids of the folder and the tags that are asked for."""
        return labels_of(self.folder, self.tags)


class ReprocessQuery(Query):
    """The query that makes the summary again."""

    language_code: str | None = Field(default=None, max_length=16)


def _people(uid: str) -> int:
    """Part of every tag: with a person who is deleted, memories change that nobody has written yet."""
    return len(tombstones.people(uid))


def _not_too_many(data: Any) -> None:
    """Counted before they are looked at one by one. Raises ApiError."""
    for name, most in (("transcript_segments", settings.OMI_MAX_SEGMENTS), ("photos", MAX_PHOTOS)):
        listed = data.get(name) if isinstance(data, dict) else None
        if isinstance(listed, list) and len(listed) > most:
            raise invalid(("body", name), f"List should have at most {most} items, not {len(listed)}", "too_long")


def rows_of(uid: str, asked: ListQuery) -> QuerySet[MemoryRow]:
    """Rows of about the memories that ``page_of`` reads. Raises InvalidCursor."""
    rows = MemoryRow.objects.filter(uid=uid, deleted=False).order_by("-created_at")
    rows = mirror.labelled(rows.filter(discarded=True) if asked.only_discarded else rows, asked.labels)
    if asked.cursor:
        rows = rows.filter(created_at__lte=repository.moment_of(uid, asked.cursor))
    start = 0 if asked.cursor else asked.offset
    return rows[start : start + asked.limit]


def page_of(uid: str, asked: ListQuery) -> repository.Page:
    """The page of the list that is asked for. Raises InvalidCursor."""
    how: dict[str, Any] = {
        "limit": asked.limit, "offset": asked.offset, "cursor": asked.cursor,
        "include_discarded": asked.include_discarded, "size": settings.OMI_ANSWER_BYTES,
    }  # fmt: skip
    if asked.labels or asked.only_discarded:
        return listing.list_labelled(uid, asked.labels, only_discarded=asked.only_discarded, **how)
    return listing.list_bounded(uid, **how)


def put_in_order(
    uid: str, memory_id: str, options: dict[str, Any], before: Callable[[], object] = lambda: None
) -> None:
    """Start the run that makes the summary again, and brings a discarded memory back. ``before``: what is written
    first, once it is known that the run may be asked for. Raises MemoryNotFound, TooManyRetries, BudgetSpent."""
    memory = repository.get_memory(uid, memory_id)
    service.bounded(uid, memory_id, settings.OMI_RETRIES_PER_DAY)
    budgets.spend(uid, runs=1)
    before()
    asked = {"force": True, **options}
    service.start("reprocess", uid, memory_id, actor=f"user:{uid}", reason="asked by the user", options=asked)
    if memory.discarded:
        corrections.summary_changed(uid, memory, "discarded", True, False)


class MemoryViewSet(InTurn, viewsets.ViewSet):
    """A user's memories. Someone else's is 404, like one that never was."""

    lookup_field = "memory_id"

    def get_throttles(self) -> list[BaseThrottle]:
        return [UserRate(), CreateRate()] if self.action == "create" else [UserRate()]

    def weight(self, request: Request) -> int:
        """Return the bytes that the request reads. Of a list: what its rows weigh. Deleting reads no transcript."""
        if self.action != "list":
            return 0 if self.action in ("create", "destroy", "emotions") else super().weight(request)
        return weight(rows_of(uid_of(request), query(ListQuery, request)), listed=True)

    @extend_schema(
        request=CreateMemory,
        parameters=parameters(CreateQuery),
        responses={200: CreatedMemory, 400: Detail, 409: Detail, 422: Detail, 429: Detail},
        description="Stores the memory at once and has it put in order in the background (`new_memory_created`). 409 "
        "where the memory of this `processing_memory_id` was deleted.",
    )
    def create(self, request: Request) -> Response:
        asked = query(CreateQuery, request)
        _not_too_many(request.data)
        given = body(CreateMemory, request)
        if not given.transcript_segments and not given.photos:
            raise ApiError(400, "Transcript segments or photos are required")
        budgets.spend(uid_of(request), runs=1)
        memory = create.create_memory(
            uid_of(request), given, language=asked.language_code, source=asked.source, fence=fence_of(request)
        )
        return Response({"memory": as_json(memory), "messages": []})

    @extend_schema(
        parameters=parameters(ListQuery),
        responses={200: Memory, 304: None},
        description="Newest first, discarded ones too. Pages by `offset`, or by `cursor` (header `X-Next-Cursor`). "
        "`folder` and `tags`: those that bear them all. Very long memories, and those beyond `OMI_ANSWER_BYTES`, have "
        "no segments here, but `segments_omitted`.",
    )
    def list(self, request: Request) -> Response:
        asked = query(ListQuery, request)
        page = page_of(uid_of(request), asked)
        headers = {"X-Next-Cursor": page.next_cursor} if page.next_cursor else {}
        tag = etag(
            [
                _people(uid_of(request)),
                page.next_cursor,
                *(f"{memory.id}:{memory.revision}" for memory in page.memories),
            ]
        )
        return conditional(request, tag, [as_json(memory) for memory in page.memories], headers)

    @extend_schema(responses={200: Memory, 304: None, **NOT_FOUND})
    def retrieve(self, request: Request, memory_id: str) -> Response:
        memory = repository.get_memory(uid_of(request), memory_id)
        tag = etag([_people(uid_of(request)), memory.id, memory.revision])
        return conditional(request, tag, as_json(memory))

    @extend_schema(
        request=EditMemory,
        responses={200: Memory, 404: Detail, 422: Detail},
        description="Title and overview in the user's own words. They win over every later run; null gives up an edit.",
    )
    def partial_update(self, request: Request, memory_id: str) -> Response:
        given = body(EditMemory, request)
        texts = {name: getattr(given, name) for name in given.model_fields_set if name in EditMemory.model_fields}
        return Response(as_json(editing.set_texts(uid_of(request), memory_id, texts)))

    @extend_schema(
        responses={204: None, **NOT_FOUND},
        description="Erases the memory with everything that hangs on it, and stops what is running for it.",
    )
    def destroy(self, request: Request, memory_id: str) -> Response:
        erasure.erase_memory(uid_of(request), memory_id)
        return Response(status=204)

    @extend_schema(
        request=None,
        responses={200: Memory, 429: Detail, **NOT_FOUND},
        description="Brings back a memory that was deleted less than `OMI_RESTORE_DAYS` ago, at most "
        "`OMI_RETRIES_PER_DAY` times a day. Where that is 0, as by default, deletion is for good and this is 404.",
    )
    def restore(self, request: Request, memory_id: str) -> Response:
        uid = uid_of(request)
        service.bounded(uid, memory_id, settings.OMI_RETRIES_PER_DAY)
        return Response(as_json(erasure.restore_memory(uid, memory_id, actor=f"user:{uid}")))

    @extend_schema(
        request=None,
        parameters=parameters(ReprocessQuery),
        responses={200: Memory, 429: Detail, **NOT_FOUND},
        description="Makes title, overview, action items and events again in the background, at most "
        "`OMI_RETRIES_PER_DAY` times a day. The user asked for it, so "
        "the memory is never discarded, and a discarded one comes back.",
    )
    def reprocess(self, request: Request, memory_id: str) -> Response:
        uid, language = uid_of(request), query(ReprocessQuery, request).language_code
        put_in_order(uid, memory_id, {"language": language} if language else {})
        return Response(as_json(repository.get_memory(uid, memory_id)))

    @extend_schema(responses={200: PhotoList, **NOT_FOUND})
    def photos(self, request: Request, memory_id: str) -> Response:
        memory = repository.get_memory(uid_of(request), memory_id)
        return Response([as_json(photo) for photo in memory.photos])

    @extend_schema(
        responses={200: Emotions, **NOT_FOUND},
        description="How it was said: `spans` of the emotion timeline. 404 where none was measured.",
    )
    def emotions(self, request: Request, memory_id: str) -> Response:
        uid = uid_of(request)
        repository.require(uid, memory_id)
        timeline = emotions.load_emotions(uid, memory_id)
        if timeline is None:
            raise ApiError(404, "No emotions were measured for this memory")
        return Response(timeline.model_dump(mode="json"))
