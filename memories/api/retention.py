"""``/v1/users/retention``: how long recordings are kept, and what there is of them."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.reading import body
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.privacy import account, recordings_kept
from omi.accounts.requests import fence_of, uid_of


class ChangedRetention(BaseModel):
    """What is left out stays. ``recordings_keep_days`` null: until they are deleted."""

    model_config = ConfigDict(extra="forbid")

    recordings_allowed: bool | None = Field(default=None, strict=True)
    recordings_keep_days: int | None = Field(default=None, strict=True, ge=1, le=recordings_kept.LONGEST)


class RetentionViewSet(viewsets.ViewSet):
    """How long recordings are kept, and what is kept."""

    @extend_schema(responses={200: recordings_kept.Kept})
    def retrieve(self, request: Request) -> Response:
        """What is kept of the user's audio, for how long, and what the server keeps besides."""
        return Response(as_json(recordings_kept.told(uid_of(request))))

    @extend_schema(
        request=ChangedRetention,
        responses={200: recordings_kept.Kept, 422: Detail},
        description="Taking the permission back erases every kept recording. A shorter time holds for those that are "
        "kept already, too: what is older goes within minutes.",
    )
    def partial_update(self, request: Request) -> Response:
        """Change the settings that are given."""
        uid, fence = uid_of(request), fence_of(request)
        given = body(ChangedRetention, request).model_dump(exclude_unset=True)
        if "recordings_keep_days" in given:
            recordings_kept.keep_recordings_for(uid, given["recordings_keep_days"], fence=fence)
        if given.get("recordings_allowed") is not None:
            account.set_recording_permission(uid, given["recordings_allowed"], fence=fence)
        return Response(as_json(recordings_kept.told(uid)))
