"""``/v1/memories/{id}/links``: what shows parts of a memory to whoever has it; ``/v1/shared/{token}`` opens one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.conf import settings
from django.http import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel
from rest_framework import viewsets
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.long_memories import InTurn, weight
from memories.api.reading import body
from memories.api.rendering import as_json, for_strangers
from memories.api.shapes import Detail
from memories.links import own_voice, shared
from memories.links.models import SharedLink
from memories.models import MemoryRow
from memories.repository import listing
from memories.shapes import Memory
from omi.accounts.requests import fence_of, uid_of
from omi.accounts.throttles import StrangerRate
from omi.stores.ranged import stretch

PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
FieldName = Literal["title", "overview", "action_items", "events", "transcript"]
FieldNames = Annotated[list[FieldName], AfterValidator(lambda names: list(dict.fromkeys(names)))]


class NewLink(BaseModel):
    """A link that the user makes. ``fields``: what the link shows. ``audio``: whether the owner's own voice is heard,
    and silence where others speak. ``days``: how long it lasts."""

    model_config = ConfigDict(extra="forbid")

    fields: FieldNames = Field(default=["title", "overview"], min_length=1, max_length=20)
    audio: bool = Field(default=False, strict=True)
    days: int = Field(default=7, ge=1, le=365, strict=True)


class LinkShown(BaseModel):
    """A link to a memory as its owner sees it; the secret of its address is not in it."""

    id: str
    fields: list[FieldName]
    audio: bool
    created_at: datetime
    expires_at: datetime
    expired: bool
    views: int
    viewed_at: datetime | None


class LinkWithSecret(LinkShown):
    """The only answer that holds the address."""

    url: str


class LinkList(RootModel[list[LinkShown]]):
    """The links of a memory, newest first."""


class SharedItem(BaseModel):
    """An action item as a link shows it."""

    description: str
    completed: bool
    due_at: datetime | None


class SharedEvent(BaseModel):
    """A calendar event as a link shows it; ``duration`` in minutes."""

    title: str
    description: str
    start: datetime
    duration: int


class SharedSegment(BaseModel):
    """A segment as a link shows it. ``speaker``: a label without a name."""

    speaker: str
    text: str
    start: float
    end: float


class SharedMemory(BaseModel):
    """What the link shows; null where it does not. ``transcript_omitted``: it is too long for one answer. ``audio``:
    there is something to hear at ``…/audio``."""

    expires_at: datetime
    title: str | None
    overview: str | None
    action_items: list[SharedItem] | None
    events: list[SharedEvent] | None
    transcript: list[SharedSegment] | None
    transcript_omitted: bool
    audio: bool


class LinkViewSet(viewsets.ViewSet):
    """The owner's side of links. Somebody else's memory is 404."""

    @extend_schema(responses={200: LinkList, 404: Detail})
    def list(self, request: Request, memory_id: str) -> Response:
        """The links of a memory, without their addresses."""
        return Response([as_json(LinkShown(**_fields(link))) for link in shared.listed(uid_of(request), memory_id)])

    @extend_schema(
        request=NewLink,
        responses={200: LinkWithSecret, 404: Detail, 409: Detail, 422: Detail},
        description="Makes a link. `url` is shown here and never again. 409: there are as many as may be.",
    )
    def create(self, request: Request, memory_id: str) -> Response:
        """Make a link to a memory."""
        given = body(NewLink, request)
        link, secret = shared.make(
            uid_of(request), memory_id, given.fields, given.days, audio=given.audio, fence=fence_of(request)
        )
        made = LinkWithSecret(**_fields(link), url=f"{settings.OMI_PUBLIC_URL}/v1/shared/{secret}")
        return Response(as_json(made), headers={"Cache-Control": "no-store"})

    @extend_schema(responses={204: None, 404: Detail})
    def destroy(self, request: Request, memory_id: str, link_id: str) -> Response:
        """Revoke a link at once."""
        shared.revoke(uid_of(request), memory_id, link_id)
        return Response(status=204)


class SharedViewSet(InTurn, viewsets.ViewSet):
    """What a link shows to whoever has it."""

    authentication_classes = []
    permission_classes = [AllowAny]
    throttle_classes = [StrangerRate]

    def weight(self, request: Request) -> int:
        """Return the bytes of the memory that the link leads to."""
        link = shared.find(self.kwargs["token"])
        return weight(MemoryRow.objects.filter(uid=link.uid, memory_id=link.memory_id)) if link else 0

    @extend_schema(
        auth=[],
        responses={200: SharedMemory, 404: Detail, 429: Detail},
        description="What the owner chose to show: never the place, other people's voices, or names and ids of who "
        "spoke. 404 once it was revoked or has expired, as for a link that never was.",
    )
    def retrieve(self, request: Request, token: str) -> Response:
        """Return what a link shows of its memory."""
        link, memory = shared.opened(token)
        return Response(as_json(_shown(link, memory)), headers=PRIVATE)

    @extend_schema(
        auth=[],
        parameters=[OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="`bytes=0-1023`, one range")],
        responses={
            (200, "audio/wav"): OpenApiTypes.BINARY, (206, "audio/wav"): OpenApiTypes.BINARY, 404: Detail, 429: Detail,
        },
        description="The recording in its own time, with silence wherever somebody other than the owner speaks, or "
        "nobody is known to. 404 where the link has no audio, or the owner says nothing in it.",
    )  # fmt: skip
    def audio(self, request: Request, token: str) -> HttpResponseBase:
        """Hear the owner's own voice."""
        heard = shared.heard(token)
        told = {**PRIVATE, "Content-Type": "audio/wav", "ETag": f'"{heard.tag}"'}
        return stretch(request, heard.size, told, lambda start, count: own_voice.pieces(heard, start, count))


def _shown(link: SharedLink, memory: Memory) -> SharedMemory:
    """From what strangers may see of a memory at all, what this link shows."""
    told = for_strangers(listing.trimmed(memory, settings.OMI_ANSWER_BYTES))
    made = {**told["structured"], "transcript": told["transcript_segments"]}
    chosen = {name: made[name] if name in link.fields else None for name in shared.FIELDS}
    omitted = "transcript" in link.fields and bool(told.get(listing.OMITTED))
    more = {"expires_at": link.expires_at, "transcript_omitted": omitted, "audio": bool(shared.audible(link, memory))}
    return SharedMemory.model_validate({**chosen, **more})


def _fields(link: SharedLink) -> dict[str, Any]:
    own = ("id", "fields", "audio", "created_at", "expires_at", "views", "viewed_at")
    return {**{name: getattr(link, name) for name in own}, "expired": link.expires_at <= timezone.now()}
