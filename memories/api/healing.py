"""``/v1/vocabulary/healings``: a term put in the place of what was misheard, in the transcripts that are there
(docs/editing.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal

from drf_spectacular.utils import extend_schema
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.reading import body
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.changes import healing
from memories.learning import words
from memories.vocabulary import terms
from memories.vocabulary.models import Healing
from omi.accounts.requests import fence_of, uid_of
from omi.core.ids import checked

Word = Annotated[str, Field(min_length=1, max_length=terms.LONGEST)]


class Asked(BaseModel):
    """The word that is to be healed. ``heard``: what stands there, as whole words, whatever its case; ``term``: what
    was said, as it is written."""

    model_config = ConfigDict(extra="forbid")

    heard: Word
    term: Word


class AskedPreview(Asked):
    """The query of a preview. ``cursor``: that of the page before."""

    cursor: str | None = Field(default=None, max_length=200)


class AskedHealing(Asked):
    """The body that begins a healing. ``left_out``: ids of memories that stay as they are."""

    left_out: list[Annotated[str, AfterValidator(checked)]] = Field(default_factory=list, max_length=200)


class PlaceShown(BaseModel):
    """One place that a healing changes. ``before`` and ``after``: the segment's words around the place."""

    memory_id: str
    title: str
    at: datetime
    segment_id: str
    start: float
    before: str
    after: str


class PreviewShown(BaseModel):
    """A page of what a healing would change. ``more_places``: how many more a memory has than are shown.
    ``next_cursor``: null on the last page."""

    places: list[PlaceShown]
    more_places: dict[str, int]
    next_cursor: str | None


class HealingShown(BaseModel):
    """A healing, and how far it is. ``memories``: in how many words were changed; ``skipped``: in how many there is no
    room for more changes. ``state``: ``going_on`` and ``undoing`` where the same call has to be made again for the
    rest."""

    id: str
    heard: str
    term: str
    state: Literal["going_on", "done", "undoing", "undone"]
    memories: int
    skipped: int
    created_at: datetime
    undone_at: datetime | None


class HealingList(RootModel[list[HealingShown]]):
    """All healings, newest first; there are at most 200."""


class OfferShown(BaseModel):
    """A word that the user corrected ``times`` times in the same way."""

    heard: str
    term: str
    times: int


class OfferList(RootModel[list[OfferShown]]):
    """What is offered, the most frequent first."""


class HealingViewSet(viewsets.ViewSet):
    """Healings of a user's transcripts. Somebody else's is 404."""

    @extend_schema(
        request=AskedPreview,
        responses={200: PreviewShown, 422: Detail},
        description="The places that would change, ten memories at a time, newest first. Nothing is written.",
    )
    def preview(self, request: Request) -> Response:
        """See what a healing would change."""
        given = body(AskedPreview, request)
        found = healing.preview(uid_of(request), given.heard, given.term, given.cursor)
        shown = PreviewShown(
            places=[PlaceShown(**asdict(item)) for item in found.places],
            more_places=found.more_places, next_cursor=found.next_cursor,
        )  # fmt: skip
        return Response(as_json(shown))

    @extend_schema(
        request=AskedHealing,
        responses={200: HealingShown, 409: Detail, 422: Detail},
        description="Puts the term in its places in the newest 50 memories that hold the word, in fewer where they are "
        "long; `going_on` where there are more. Words that the user wrote are never touched, and later runs are "
        "healed, too.",
    )
    def create(self, request: Request) -> Response:
        """Begin to put the term in the place of the misheard word."""
        given = body(AskedHealing, request)
        made = healing.begin(uid_of(request), given.heard, given.term, left_out=given.left_out, fence=fence_of(request))
        return _answer(made)

    @extend_schema(responses={200: HealingList})
    def list(self, request: Request) -> Response:
        """All healings of the user."""
        return Response([as_json(item) for item in shown_of(healing.of_user(uid_of(request)))])

    @extend_schema(responses={200: OfferList})
    def offers(self, request: Request) -> Response:
        """Words that were corrected twice in the same way, and may stand wrong elsewhere."""
        found = words.offered(uid_of(request))
        return Response([as_json(OfferShown(heard=item.heard, term=item.term, times=item.times)) for item in found])

    @extend_schema(responses={200: HealingShown, 404: Detail})
    def retrieve(self, request: Request, healing_id: str) -> Response:
        """Return how far one healing is."""
        return _answer(healing.get(uid_of(request), healing_id))

    @extend_schema(
        request=None,
        responses={200: HealingShown, 404: Detail, 409: Detail},
        description="The next 50 memories; `done` where all were looked at. 409: it was undone.",
    )
    def go_on(self, request: Request, healing_id: str) -> Response:
        """Go on with a healing."""
        made = healing.go_on(uid_of(request), healing_id, fence=fence_of(request))
        return _answer(made)

    @extend_schema(
        request=None,
        responses={200: HealingShown, 404: Detail},
        description="Takes it back in 50 memories; `undoing` where there are more. All other changes stay.",
    )
    def undo(self, request: Request, healing_id: str) -> Response:
        """Take a healing back."""
        made = healing.undo(uid_of(request), healing_id, fence=fence_of(request))
        return _answer(made)


def shown_of(found: Sequence[Healing]) -> list[HealingShown]:
    """Healings as they are shown."""
    counted = healing.counted(found)
    return [_shown(made, *counted[made.pk]) for made in found]


def _answer(made: Healing) -> Response:
    return Response(as_json(shown_of([made])[0]))


def _shown(made: Healing, memories: int, standing: int) -> HealingShown:
    state: Literal["going_on", "done", "undoing", "undone"] = "done" if made.through else "going_on"
    if made.undone_at is not None:
        state = "undoing" if standing else "undone"
    return HealingShown(
        id=made.pk, heard=made.heard, term=made.term, state=state, memories=memories, skipped=made.skipped,
        created_at=made.created_at, undone_at=made.undone_at,
    )  # fmt: skip
