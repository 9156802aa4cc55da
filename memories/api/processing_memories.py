"""``/v1/processing-memories/{id}``: a conversation that is still going on (docs/reference/app-protocol.md)."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.reading import body
from memories.api.rendering import as_json
from memories.api.shapes import Detail, PatchedProcessingMemory, PatchProcessingMemory, ProcessingMemoryBrief
from memories.repository import processing
from memories.shapes import ProcessingMemory
from omi.accounts.requests import uid_of


class ProcessingMemoryViewSet(viewsets.ViewSet):
    @extend_schema(responses={200: ProcessingMemory, 404: Detail})
    def retrieve(self, request: Request, processing_memory_id: str) -> Response:
        return Response(as_json(processing.get(uid_of(request), processing_memory_id)))

    @extend_schema(
        request=PatchProcessingMemory,
        responses={200: PatchedProcessingMemory, 404: Detail, 422: Detail},
        description="Where the user is, and whether emotions are wanted. What is left out stays as it is.",
    )
    def partial_update(self, request: Request, processing_memory_id: str) -> Response:
        asked = body(PatchProcessingMemory, request)
        uid = uid_of(request)
        processing.get(uid, processing_memory_id)
        given = {name: getattr(asked, name) for name in asked.model_fields_set}
        if given.get("emotional_feedback", False) is None:
            del given["emotional_feedback"]
        if given:
            processing.mutate(uid, processing_memory_id, lambda current: dict(given))
        stored = processing.get(uid, processing_memory_id)
        brief = ProcessingMemoryBrief.model_validate(stored.model_dump())
        return Response({"result": as_json(brief)})
