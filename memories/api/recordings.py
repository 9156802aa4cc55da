"""The kept recording of a memory: whether there is one, and playing it from any point."""

from __future__ import annotations

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.errors import ApiError
from memories.api.shapes import Detail, HasRecording
from memories.repository import memories as repository
from omi.accounts.requests import uid_of
from omi.stores import audio
from omi.stores.models import AudioObject
from omi.stores.ranged import ranged


class RecordingViewSet(viewsets.ViewSet):
    """The kept recording of a memory."""

    @extend_schema(responses={200: HasRecording, 404: Detail})
    def retrieve(self, request: Request, memory_id: str) -> Response:
        repository.require(uid_of(request), memory_id)
        return Response({"has_recording": recording_of(uid_of(request), memory_id) is not None})

    @extend_schema(
        parameters=[OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="`bytes=0-1023`, one range")],
        responses={(200, "audio/wav"): OpenApiTypes.BINARY, (206, "audio/wav"): OpenApiTypes.BINARY, 404: Detail},
    )
    def audio(self, request: Request, memory_id: str) -> HttpResponseBase:
        repository.require(uid_of(request), memory_id)
        found = recording_of(uid_of(request), memory_id)
        if found is None:
            raise ApiError(404, "Memory recording not found")
        return ranged(request, found)


def recording_of(uid: str, memory_id: str) -> AudioObject | None:
    """The newest recording that is kept; uploads that only wait for their processing are not the user's to play."""
    kept = audio.for_memory(uid, memory_id, "recording")
    return kept[-1] if kept else None
