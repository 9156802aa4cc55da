"""Bodies and answers of the REST API that are not documents themselves (those are in ``memories.shapes``)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field, RootModel, field_validator

from memories.shapes import Geolocation, Memory, Photo
from omi.core.moments import Moment
from transcription.ids import PersonId, SegmentId, SpeakerLabel
from transcription.segments import Segment


class Status(BaseModel):
    """The original's answer of a change that has nothing to show: ``Ok`` or ``ok``, as that route had it."""

    status: str = "Ok"


class Detail(BaseModel):
    """The body of an error: what is wrong."""

    detail: Any


class CreatedMemory(BaseModel):
    """The answer to a memory that was created. ``messages`` were answers of plugins' webhooks; there are none, the app
    needs the list."""

    memory: Memory
    messages: list[dict[str, Any]] = Field(default_factory=list)


class PhotoList(RootModel[list[Photo]]):
    """The pictures of a memory."""

    pass


class TranscriptsByVendor(BaseModel):
    """Exactly the keys that the app requires, each a list sorted by start (docs/reference/app-protocol.md)."""

    deepgram: list[Segment] = Field(default_factory=list)
    soniox: list[Segment] = Field(default_factory=list)
    speechmatics: list[Segment] = Field(default_factory=list)
    whisperx: list[Segment] = Field(default_factory=list)


class OtherVersion(BaseModel):
    """A further version of a model's transcript: an earlier run's, or one that was rejected."""

    version: str
    created_at: datetime | None = None
    meta: dict[str, Any] = Field(default_factory=dict)


class TranscriptInfo(BaseModel):
    """One transcript of a memory: its model and version, its segments, and whether it is the one that is shown."""

    model: str
    version: str = ""
    active: bool
    created_at: datetime | None = None
    segments: list[Segment]
    meta: dict[str, Any] = Field(default_factory=dict)
    others: list[OtherVersion] = Field(default_factory=list)


class TranscriptVersions(RootModel[list[TranscriptInfo]]):
    """All transcripts of a memory."""

    pass


class HasRecording(BaseModel):
    """Whether a recording of the memory is kept."""

    has_recording: bool


class EventFlags(BaseModel):
    """Which calendar events were put into the user's calendar; ``values[i]`` is for event ``events_idx[i]``."""

    events_idx: list[int]
    values: list[bool]


class EditMemory(BaseModel):
    """The user's own words; an empty string or null gives the machine's back. What is left out stays."""

    title: str | None = Field(default=None, max_length=300)
    overview: str | None = Field(default=None, max_length=10_000)


class AssignVoice(BaseModel):
    """One decision for many segments: all of a ``speaker`` label, or those listed by id or by index."""

    speaker: SpeakerLabel | None = None
    segment_ids: list[SegmentId] = Field(default_factory=list, max_length=5000)
    segment_indexes: list[int] = Field(default_factory=list, max_length=5000)
    is_user: bool = False
    person_id: PersonId | None = None
    use_for_speech_training: bool = False


class PatchProcessingMemory(BaseModel):
    """What is left out stays as it is (the original reset ``emotional_feedback``)."""

    geolocation: Geolocation | None = None
    emotional_feedback: bool | None = None


class ProcessingMemoryBrief(BaseModel):
    """A conversation that goes on, without its words; ``timer_start`` in Unix seconds."""

    id: str
    timer_start: float
    created_at: datetime
    geolocation: Geolocation | None = None
    emotional_feedback: bool = False


class PatchedProcessingMemory(BaseModel):
    """A conversation that goes on, after what was changed."""

    result: ProcessingMemoryBrief


class Permission(BaseModel):
    """Whether the user permits that recordings are stored."""

    store_recording_permission: bool


class FcmToken(BaseModel):
    """A device's push token with its time zone; an unknown zone counts as UTC."""

    fcm_token: str = Field(min_length=1, max_length=4096)
    time_zone: str = Field(default="UTC", max_length=64)

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        from zoneinfo import available_timezones

        return value if value in available_timezones() else "UTC"


class SearchBody(BaseModel):
    """What is searched for, and what limits the hits."""

    query: str = Field(min_length=1, max_length=1000)
    limit: int = Field(default=10, ge=1, le=50)
    include_discarded: bool = False
    category: str | None = None
    person_id: PersonId | None = None
    start_date: Moment | None = None
    end_date: Moment | None = None


class SearchHit(BaseModel):
    """A memory that was found. ``score`` 0..1 orders the hits of one answer; ``matched`` says by what; ``snippet`` is
    the best passage."""

    memory: Memory
    score: float
    semantic: float | None = None
    lexical: float | None = None
    matched: list[Literal["meaning", "words"]]
    snippet: str | None = None


class SearchAnswer(BaseModel):
    """The hits of a search, best first."""

    hits: list[SearchHit]


class Emotions(RootModel[dict[str, Any]]):
    """The measured emotions of a memory."""

    pass


class RunStatus(RootModel[dict[str, Any]]):
    """The document of ``memories.pipeline.status`` (docs/api.md lists its fields)."""


class Speaker(BaseModel):
    """One speaker of a memory. ``decision``: what the last run heard (score, runner-up, evidence, reason, suggestion):
    speakers.explain."""

    speaker: str
    speaker_id: int
    is_user: bool
    person_id: str | None
    name: str | None
    seconds: float
    segments: int
    decided_by_user: bool
    decision: dict[str, Any] | None = None


class Speakers(RootModel[list[Speaker]]):
    """The speakers of a memory."""

    pass


class AccountDeleted(BaseModel):
    """The answer to the deletion of an account. ``receipt``: what was erased, by kind."""

    status: str
    message: str
    receipt: dict[str, Any]
