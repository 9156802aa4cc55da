"""What a user decides about a memory: who spoke, which events are in the calendar, who may see it."""

from __future__ import annotations

from typing import Literal

from drf_spectacular.utils import extend_schema
from pydantic import Field, model_validator
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories import editing
from memories.api.errors import ApiError, invalid
from memories.api.long_memories import InTurn
from memories.api.reading import Query, body, parameters, query
from memories.api.rendering import as_json
from memories.api.shapes import AssignVoice, Detail, EventFlags, Speakers, Status
from memories.repository import memories as repository
from memories.shapes import Memory, Visibility
from omi.accounts.requests import uid_of
from speakers import people
from speakers.explain import explain

_TRUE = {"true", "1", "yes", "on"}
_FALSE = {"false", "0", "no", "off"}


class AssignQuery(Query):
    """The query of an assignment of a segment: to the user, to a person, or to nobody."""

    assign_type: str
    value: str | None = Field(default=None, max_length=128, description="true, false or a person's id; null unassigns")
    use_for_speech_training: bool = True


class VisibilityQuery(Query):
    """The query that sets a memory's visibility; the app also names it ``visibility``."""

    value: Visibility

    @model_validator(mode="before")
    @classmethod
    def _other_name(cls, values: dict[str, str]) -> dict[str, str]:
        return {"value": values["visibility"], **values} if "visibility" in values else values


class EditViewSet(InTurn, viewsets.ViewSet):
    """What a user decides about a memory: events in the calendar, who speaks, who may see it."""

    @extend_schema(request=EventFlags, responses={200: Status, 404: Detail, 422: Detail})
    def events(self, request: Request, memory_id: str) -> Response:
        given = body(EventFlags, request)
        if len(given.events_idx) != len(given.values):
            raise invalid(("body", "values"), "events_idx and values must have the same length")
        editing.set_events_created(uid_of(request), memory_id, dict(zip(given.events_idx, given.values, strict=True)))
        return Response({"status": "Ok"})

    @extend_schema(
        request=None,
        parameters=parameters(VisibilityQuery),
        responses={200: Status, 404: Detail, 422: Detail},
    )
    def visibility(self, request: Request, memory_id: str) -> Response:
        asked = query(VisibilityQuery, request)
        editing.set_visibility(uid_of(request), memory_id, asked.value)
        return Response({"status": "Ok"})

    @extend_schema(responses={200: Speakers, 404: Detail}, description="Who speaks how much, and why.")
    def speakers(self, request: Request, memory_id: str) -> Response:
        uid = uid_of(request)
        memory = repository.get_memory(uid, memory_id)
        told = {voice["speaker"]: voice for voice in explain(uid, memory_id)["voices"]}
        spoken = editing.speakers_of(memory, people.names(uid))
        return Response([{**speaker, "decision": told.get(speaker["speaker"])} for speaker in spoken])

    @extend_schema(
        request=None,
        parameters=parameters(AssignQuery),
        responses={200: Memory, 400: Detail, 404: Detail, 409: Detail, 422: Detail},
    )
    def assign(self, request: Request, memory_id: str, index: int) -> Response:
        asked = query(AssignQuery, request)
        uid = uid_of(request)
        memory = repository.get_memory(uid, memory_id)
        decision = _decision(uid, asked.assign_type, asked.value)
        if index >= len(memory.transcript_segments):
            raise ApiError(422, "Segment not found")
        changed = editing.assign_segments(
            uid,
            memory_id,
            [memory.transcript_segments[index].id],
            decision,
            spread=True,
            learn=asked.use_for_speech_training,
        )
        return Response(as_json(changed))

    @extend_schema(
        request=AssignVoice,
        responses={200: Memory, 404: Detail, 409: Detail, 422: Detail},
        description="Names a voice everywhere in the memory (`speaker`), or the listed segments. Nothing is changed "
        "where one of them does not exist (409).",
    )
    def assign_voice(self, request: Request, memory_id: str) -> Response:
        given = body(AssignVoice, request)
        uid = uid_of(request)
        memory = repository.get_memory(uid, memory_id)
        decision = _decision(
            uid, *(("person_id", given.person_id) if given.person_id else ("is_user", str(given.is_user)))
        )
        targets = editing.targets(memory, speaker=given.speaker, ids=given.segment_ids, indexes=given.segment_indexes)
        changed = editing.assign_segments(
            uid, memory_id, targets, decision, speaker=given.speaker, learn=given.use_for_speech_training
        )
        return Response(as_json(changed))


def _decision(uid: str, kind: Literal["is_user", "person_id"] | str, value: str | None) -> editing.Decision:
    """What was decided, checked in full before anything is written."""
    if kind == "is_user":
        if value is None:
            return editing.Decision(assigned=False)
        if value.lower() in _TRUE | _FALSE:
            return editing.Decision(is_user=value.lower() in _TRUE)
        raise invalid(("query", "value"), "Input should be true, false or null", "bool_parsing")
    if kind == "person_id":
        if value is None:
            return editing.Decision(assigned=False)
        return editing.Decision(person_id=people.get_person(uid, value).id)
    raise ApiError(400, "Invalid assign type")
