"""``/v1/feedback``: what a user says of a part of a memory; ``/v1/users/improvement`` and ``/v1/users/vocabulary``."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from drf_spectacular.utils import extend_schema
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.reading import Query, body, parameters, query
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.experiments.assigning import observe
from memories.feedback import permissions, reports
from memories.feedback.models import Part, Reason, Report
from memories.vocabulary import terms
from omi.accounts import users
from omi.accounts.erased import Fence
from omi.accounts.requests import fence_of, uid_of
from transcription.ids import SegmentId


class GiveFeedback(BaseModel):
    """What a user says of a part of a memory. ``memory_id`` may be left out of search, recap and other.
    ``audio_consent``: support may listen to the audio."""

    model_config = ConfigDict(extra="ignore")

    part: Part
    memory_id: str | None = Field(default=None, max_length=128)
    segment_id: SegmentId | None = None
    thumb: Literal["up", "down"] | None = None
    reasons: list[Reason] = Field(default_factory=list, max_length=8)
    text: str = Field(default="", max_length=1000)
    audio_consent: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> GiveFeedback:
        if self.thumb is None and not self.reasons and not self.text.strip():
            raise ValueError("give a thumb, a reason or a text")
        if self.memory_id is None and self.part not in (Part.SEARCH, Part.OTHER, Part.RECAP):
            raise ValueError(f"{self.part.value} is of a memory")
        return self


class FeedbackShown(BaseModel):
    """What a user said of a part of a memory."""

    id: str
    part: Part
    memory_id: str | None
    segment_id: str | None
    thumb: Literal["up", "down"] | None
    reasons: list[Reason]
    text: str
    audio_consent: bool
    state: str
    created_at: datetime
    expires_at: datetime


class FeedbackList(RootModel[list[FeedbackShown]]):
    """A page, newest first."""


class FeedbackQuery(Query):
    """The query of the list of feedback, the newest first."""

    before: str | None = Field(default=None, max_length=40, description="the last id of the page before")
    limit: int = Field(default=50, ge=1, le=200)


class ImprovementShown(BaseModel):
    """What the user permits. ``learning``: from your corrections, for you. ``cases``: corrections and reports may be
    looked at and measured with. ``shadow``: a second vendor may be tried on your recordings; its result is not shown.
    """

    learning: bool
    cases: bool
    shadow: bool


class ImprovementGiven(BaseModel):
    """What is left out stays as it is."""

    learning: bool | None = None
    cases: bool | None = None
    shadow: bool | None = None


class VocabularyGiven(BaseModel):
    """The whole list of words that recognition is to know."""

    terms: list[str] = Field(max_length=1000)


class VocabularyShown(BaseModel):
    """The words that recognition knows of the user. ``learned``: those that came from corrections. ``version`` stands
    in transcripts made with this list."""

    terms: list[str]
    learned: list[str]
    version: str


class FeedbackViewSet(viewsets.ViewSet):
    """What the user says of parts of memories."""

    @extend_schema(
        request=GiveFeedback,
        responses={200: FeedbackShown, 404: Detail, 422: Detail, 429: Detail},
        description="A thumb, reasons, a text on a part of a memory. Again for the same part: replaces the first.",
    )
    def create(self, request: Request) -> Response:
        """Keep what the user says."""
        made = given_by(uid_of(request), body(GiveFeedback, request), fence=fence_of(request))
        return Response(as_json(_shown(made)))

    @extend_schema(parameters=parameters(FeedbackQuery), responses={200: FeedbackList, 404: Detail, 422: Detail})
    def list(self, request: Request) -> Response:
        """What the user has said."""
        asked = query(FeedbackQuery, request)
        found = reports.of_user(uid_of(request), before=asked.before, limit=asked.limit)
        return Response([as_json(_shown(item)) for item in found])

    @extend_schema(responses={204: None, 404: Detail})
    def destroy(self, request: Request, feedback_id: str) -> Response:
        """Withdraw a report."""
        reports.withdraw(uid_of(request), feedback_id)
        return Response(status=204)


class ImprovementViewSet(viewsets.ViewSet):
    """What the user permits so that recognition becomes better."""

    @extend_schema(responses={200: ImprovementShown})
    def retrieve(self, request: Request) -> Response:
        """What the user permits."""
        return Response(as_json(users.get_user(uid_of(request)).improvement))

    @extend_schema(
        request=ImprovementGiven,
        responses={200: ImprovementShown, 422: Detail},
        description="Withdrawing `cases` erases the cases and reports that were shared; `shadow` what was tried.",
    )
    def update(self, request: Request) -> Response:
        """Change what the user permits."""
        given = body(ImprovementGiven, request)
        chosen = given.model_dump(exclude_none=True)
        return Response(as_json(permissions.change(uid_of(request), chosen, fence=fence_of(request))))


class VocabularyViewSet(viewsets.ViewSet):
    """The names and terms that recognition is to know of the user."""

    @extend_schema(responses={200: VocabularyShown})
    def retrieve(self, request: Request) -> Response:
        """Return the words that recognition knows of the user."""
        return Response(as_json(terms.of(uid_of(request))))

    @extend_schema(
        request=VocabularyGiven,
        responses={200: VocabularyShown, 422: Detail},
        description="Replaces the list. Words that recognition shall know: names, terms. Doubled ones are joined.",
    )
    def update(self, request: Request) -> Response:
        """Replace the list of words that recognition knows of the user."""
        given = body(VocabularyGiven, request)
        made = terms.put(uid_of(request), given.terms, fence=fence_of(request))
        return Response(as_json(made))


def given_by(uid: str, said: GiveFeedback, *, fence: Fence) -> Report:
    """Keep what a user says. Raises ApiError (429), MemoryNotFound and what ``fence`` raises."""
    given = reports.Given(
        part=said.part.value, memory_id=said.memory_id or "", segment_id=said.segment_id or "",
        thumb={"up": 1, "down": -1, None: 0}[said.thumb], reasons=[reason.value for reason in said.reasons],
        text=said.text.strip(), audio_consent=said.audio_consent,
    )  # fmt: skip
    made = reports.give(uid, given, fence=fence)
    if said.thumb is not None and said.memory_id:
        observe(uid, said.memory_id, {"thumb": float(said.thumb == "up")})
    return made


def _shown(row: Report) -> FeedbackShown:
    return FeedbackShown(
        id=row.id, part=Part(row.part), memory_id=row.memory_id or None, segment_id=row.segment_id or None,
        thumb="up" if row.thumb > 0 else "down" if row.thumb < 0 else None,
        reasons=[Reason(item) for item in row.reasons], text=row.text, audio_consent=row.audio_consent,
        state=row.state, created_at=row.created_at, expires_at=row.expires_at,
    )  # fmt: skip
