"""The documents of a memory: one definition per shape, from which the API schema is made.

Field names, defaults and enums are those of the original (September 2024), because an app of that time reads them and
an existing project's documents are read back. Our own additions are optional and ignored by that app.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from memories.document_parts import AppliedTemplate, Comment, Section
from transcription.segments import Segment


class Category(StrEnum):
    """The original's list; an unknown value reads as ``other``."""

    PERSONAL = "personal"
    EDUCATION = "education"
    HEALTH = "health"
    FINANCE = "finance"
    LEGAL = "legal"
    PHILOSOPHY = "philosophy"
    SPIRITUAL = "spiritual"
    SCIENCE = "science"
    ENTREPRENEURSHIP = "entrepreneurship"
    PARENTING = "parenting"
    ROMANTIC = "romantic"
    TRAVEL = "travel"
    INSPIRATION = "inspiration"
    TECHNOLOGY = "technology"
    BUSINESS = "business"
    SOCIAL = "social"
    WORK = "work"
    SPORTS = "sports"
    POLITICS = "politics"
    LITERATURE = "literature"
    HISTORY = "history"
    ARCHITECTURE = "architecture"
    OTHER = "other"


class PostProcessingStatus(StrEnum):
    """The states of a memory's post-processing, by the names that the app knows."""

    NOT_STARTED = "not_started"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELED = "canceled"
    FAILED = "failed"


class Visibility(StrEnum):
    """Who may see a memory: its owner, whoever has its address, or everybody."""

    PRIVATE = "private"
    SHARED = "shared"
    PUBLIC = "public"


class _Document(BaseModel):
    model_config = ConfigDict(extra="allow")


class ActionItem(BaseModel):
    """A task that came up in a conversation. ``owner`` (a name as people read it) and ``due_at`` are ours, None where
    neither was said; the description says both, too, for an app that does not know them."""

    description: str
    completed: bool = False
    owner: str | None = None
    due_at: datetime | None = None


class Event(BaseModel):
    """A calendar event. ``duration`` in minutes, at most 180."""

    title: str
    description: str = ""
    start: datetime
    duration: int = 30
    created: bool = False

    @field_validator("duration", mode="before")
    @classmethod
    def _cap(cls, value: Any) -> int:
        return max(1, min(180, int(value)))


class Structured(BaseModel):
    """The summary of a memory: title, overview, category, action items and events. ``sections`` and ``template``: the
    summary by a template, where the user chose one."""

    title: str = ""
    overview: str = ""
    emoji: str = "🧠"
    category: Category = Category.OTHER
    action_items: list[ActionItem] = Field(default_factory=list)
    events: list[Event] = Field(default_factory=list)
    sections: list[Section] = Field(default_factory=list)
    template: AppliedTemplate | None = None

    @field_validator("category", mode="before")
    @classmethod
    def _known_category(cls, value: Any) -> Any:
        return value if value in set(Category) else Category.OTHER

    @field_validator("action_items", mode="before")
    @classmethod
    def _items_from_strings(cls, value: Any) -> Any:
        return [{"description": item} if isinstance(item, str) else item for item in value or []]

    def text(self) -> str:
        """The form that is embedded: title, category, overview, action items, events (the original's)."""
        lines = [f"{self.title[:1].upper()}{self.title[1:]} ({self.category.value.capitalize()})", self.overview]
        if self.action_items:
            lines += ["Action Items:", *(f"- {item.description}" for item in self.action_items)]
        if self.events:
            lines += ["Events:", *(f"- {event.title} ({event.start:%Y-%m-%d %H:%M})" for event in self.events)]
        return "\n".join(line for line in lines if line)


class Geolocation(BaseModel):
    """Where a conversation was: latitude and longitude in degrees, and the place's name as the app sent it."""

    google_place_id: str | None = None
    latitude: float = Field(allow_inf_nan=False)
    longitude: float = Field(allow_inf_nan=False)
    address: str | None = None
    location_type: str | None = None


class PostProcessing(BaseModel):
    """What the app knows of a run; ``GET .../post-processing`` tells the rest. ``fail_reason`` is a safe sentence."""

    status: PostProcessingStatus = PostProcessingStatus.NOT_STARTED
    model: str | None = None
    fail_reason: str | None = None
    run_id: str | None = None
    message_id: str | None = None


class PluginResult(BaseModel):
    """What a plugin said of a memory; the original backend had plugins, and old documents hold their results."""

    plugin_id: str | None = None
    content: str


class Photo(BaseModel):
    """A picture of a memory, encoded in Base64, with its description."""

    base64: str
    description: str


def event_key(title: str, start: datetime) -> str:
    """The key under which a person's flag of a calendar event is kept: its title and its start."""
    return f"{title.strip().casefold()}@{start.isoformat()}"


WORDS = ("text", "heal")
"""Kinds of operations that change words; the others are about action items and voices."""


class Change(BaseModel):
    """One operation of a person on a memory; the operations that are not undone are laid over what a run made.

    A text: ``segment_id``, ``start`` and ``end`` (seconds) say where, ``heard`` what the machine had there, ``text``
    what the person wrote, ``places`` which segments show it now, with the machine's words. ``orphaned``: the words
    that it corrects stand nowhere in the transcript that is shown.
    A healing (``heal``): ``text`` is put in the place of ``heard`` wherever that stands as a whole word; ``healing``
    names what it was done together with.
    An action item: ``item_id`` says which, ``item`` how it was before (of ``item_add``: what is added), ``fields``
    what is set, ``beside`` the ids of others that said nearly the same then: none of them is ever meant.
    Voices: ``spans`` (start and end, one behind the other) say when those spoke that become the voice ``into``;
    ``into_spans`` when that one spoke. ``places`` are the segments that changed, with the machine's label, ``names``
    who they were.
    """

    id: str
    kind: Literal["text", "heal", "item_add", "item_change", "item_delete", "voice_merge", "voice_split"]
    at: datetime
    undone_at: datetime | None = None
    orphaned: bool = False
    segment_id: str | None = None
    start: float = 0.0
    end: float = 0.0
    heard: str = ""
    before: str = ""
    text: str = ""
    places: dict[str, str] = Field(default_factory=dict)
    healing: str | None = None
    item_id: str | None = None
    item: ActionItem | None = None
    fields: dict[str, Any] = Field(default_factory=dict)
    beside: list[str] = Field(default_factory=list)
    voice: str | None = None
    into: str | None = None
    spans: list[float] = Field(default_factory=list)
    into_spans: list[float] = Field(default_factory=list)
    names: dict[str, dict[str, Any]] = Field(default_factory=dict)


class UserEdits(BaseModel):
    """What a person set, kept apart from what the machine produced; it wins over every later run.

    ``speakers`` maps a transcript label or segment id to ``{"is_user": bool, "person_id": str | None}``. ``changes``:
    operations on words, action items and voices, oldest first. ``made_items``: the machine's action items, where the
    person changed some. ``folder_id``, ``tag_ids``: labels of the user; one that is deleted is not there any more.
    ``comments``: oldest first. ``template_id``: of the summary template; ``none`` for no sections, None for that of
    the memory's category.
    """

    title: str | None = None
    overview: str | None = None
    category: Category | None = None
    speakers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    segments: dict[str, dict[str, Any]] = Field(default_factory=dict)
    events_created: dict[str, bool] = Field(default_factory=dict)
    changes: list[Change] = Field(default_factory=list)
    made_items: list[ActionItem] | None = None
    folder_id: str | None = None
    tag_ids: list[str] = Field(default_factory=list)
    comments: list[Comment] = Field(default_factory=list)
    template_id: str | None = None

    def labels(self) -> list[str]:
        """Ids of the folder and the tags."""
        return [*([self.folder_id] if self.folder_id else []), *self.tag_ids]


class Memory(_Document):
    """The document of a memory, ``users/{uid}/memories/{id}``. Segment times are seconds since ``time_zero`` (else
    ``started_at``).

    From ``started_at`` to ``finished_at`` is what was said, with a margin, however long the socket was open around it.
    """

    id: str
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    source: str | None = "friend"
    language: str | None = None
    structured: Structured = Field(default_factory=Structured)
    transcript_segments: list[Segment] = Field(default_factory=list)
    geolocation: Geolocation | None = None
    photos: list[Photo] = Field(default_factory=list)
    plugins_results: list[PluginResult] = Field(default_factory=list)
    external_data: dict[str, Any] | None = None
    postprocessing: PostProcessing | None = None
    discarded: bool = False
    deleted: bool = False
    visibility: Visibility = Visibility.PRIVATE
    processing_memory_id: str | None = None
    # Ours, unknown to the 2024 app:
    active_transcript: str | None = None
    active_version: str | None = None
    """Which version of that model's transcripts; None in documents of older servers."""
    edits: UserEdits = Field(default_factory=UserEdits)
    emotional_feedback: bool = False
    revision: int = 0
    deleted_at: datetime | None = None
    recording: str | None = None
    accounting: dict[str, Any] | None = None
    time_zero: datetime | None = None
    """Second 0 of the segments' times and of the recording: the first audio byte of the conversation."""
    made_from: list[str] = Field(default_factory=list)
    """The memories that the user merged into this one, or the one that it was split from."""
    spoken_beside: list[float] = Field(default_factory=list)
    """Start and end of moments, behind one another, in which somebody may be heard in the recording whose words went
    to another memory when this one was split: where two spoke at once each part has words of its own."""
    replaced_by: list[str] = Field(default_factory=list)
    """What it was merged into or split into: it is deleted, and kept until ``goes_at`` so that this can be undone."""
    goes_at: datetime | None = None

    @field_validator("created_at", "started_at", "finished_at", "deleted_at", "time_zero", "goes_at")
    @classmethod
    def _aware(cls, value: datetime | None) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value

    def heard(self) -> list[Segment]:
        """The transcript that is shown, with the machine's words and voices where the person set others."""
        made: dict[str, dict[str, Any]] = {}
        for change in self.edits.changes[::-1]:  # what was laid last is taken off first
            if change.undone_at is not None:
                continue
            field = "text" if change.kind in WORDS else "speaker"  # action items have no places
            for identity, before in change.places.items():
                made.setdefault(identity, {}).update({field: before, **change.names.get(identity, {})})
        return [item.model_copy(update=made[item.id]) if item.id in made else item for item in self.transcript_segments]


class SessionAudio(BaseModel):
    """How far the audio of one session of a conversation reaches.

    ``until`` in conversation seconds; ``at`` is the wall clock (Unix seconds) at which that audio came, which is later
    where packets were lost or the device paused. ``over``: no more audio of this session will come.
    """

    until: float = 0.0
    at: float = 0.0
    over: bool = False


class ProcessingMemory(_Document):
    """The document ``users/{uid}/processing_memories/{id}``: a conversation that is still going on (or waits for its
    memory)."""

    id: str
    session_id: str | None = None
    session_ids: list[str] = Field(default_factory=list)
    device_id: str | None = None
    audio_url: str | None = None
    created_at: datetime
    timer_start: float = 0.0
    timer_segment_start: float | None = None
    timer_starts: list[float] = Field(default_factory=list)
    last_audio: float = 0.0
    language: str | None = None
    transcript_segments: list[Segment] = Field(default_factory=list)
    geolocation: Geolocation | None = None
    emotional_feedback: bool = False
    memory_id: str | None = None
    message_ids: list[str] = Field(default_factory=list)
    finished: bool = False
    ended: str | None = None
    """Why it has ended for good: ``gap``, ``finish``, ``deleted``. None: who comes back within the gap continues it."""
    audio: dict[str, SessionAudio] = Field(default_factory=dict)
    """By session id."""
    assigned: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Who the user said, while it was going on, that a segment is of: the memory's ``edits.segments`` begin with it."""
