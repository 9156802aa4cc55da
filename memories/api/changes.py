"""``/v1/memories/{id}/changes`` and what makes them: a segment's text, action items (docs/editing.md)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from drf_spectacular.utils import extend_schema
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.long_memories import InTurn
from memories.api.reading import body
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.changes import making, voices
from memories.pipeline.rules.voices import MOST_MOVED
from memories.repository import memories as repository
from memories.shapes import ActionItem, Change, Memory
from omi.accounts.requests import fence_of, uid_of
from omi.core.moments import Moment
from transcription.ids import LONGEST_LABEL, SegmentId

LONGEST_TEXT = 5000


def _words(text: str) -> str:
    text = " ".join(text.replace("\0", " ").split())
    if not text:
        raise ValueError("should say something")
    return text


Text = Annotated[str, AfterValidator(_words), Field(max_length=LONGEST_TEXT)]
Description = Annotated[str, AfterValidator(_words), Field(max_length=1000)]
Owner = Annotated[str, AfterValidator(_words), Field(max_length=100)]


class NewText(BaseModel):
    """The words that replace those of a segment."""

    model_config = ConfigDict(extra="forbid")

    text: Text


class MergedVoices(BaseModel):
    """Two voices that are one: ``voice`` is ``into``: labels of the transcript that is shown."""

    model_config = ConfigDict(extra="forbid")

    voice: str = Field(min_length=1, max_length=LONGEST_LABEL)
    into: str = Field(min_length=1, max_length=LONGEST_LABEL)


class SplitVoice(BaseModel):
    """A voice that is two. ``segment_ids``: passages of one voice that are another one."""

    model_config = ConfigDict(extra="forbid")

    segment_ids: list[SegmentId] = Field(min_length=1, max_length=MOST_MOVED)


class NewItem(BaseModel):
    """An action item that the user adds."""

    model_config = ConfigDict(extra="forbid")

    description: Description
    completed: bool = Field(default=False, strict=True)
    owner: Owner | None = None
    due_at: Moment | None = None


class ChangedItem(BaseModel):
    """What is left out stays; null takes an owner or a due date away."""

    model_config = ConfigDict(extra="forbid")

    description: Description | None = None
    completed: bool | None = Field(default=None, strict=True)
    owner: Owner | None = None
    due_at: Moment | None = None

    def given(self) -> dict[str, Any]:
        """The fields that are to be set; null only where nothing is a value."""
        told = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: value for name, value in told.items() if value is not None or name in ("owner", "due_at")}


class ItemShown(BaseModel):
    """An action item of a memory."""

    id: str
    description: str
    completed: bool
    owner: str | None
    due_at: datetime | None


class ItemList(RootModel[list[ItemShown]]):
    """The memory's action items, in order."""


class ChangeShown(BaseModel):
    """One change that the user made. ``before`` and ``after``: the words of a segment (of ``heal``: the word), the
    action item, or the voice's label; null where there was or is none. ``healing_id``: what it was done together with.
    ``state``: ``orphaned`` where the transcript of now has no such words any more."""

    id: str
    kind: Literal["text", "heal", "item_add", "item_change", "item_delete", "voice_merge", "voice_split"]
    at: datetime
    state: Literal["active", "orphaned", "undone"]
    undone_at: datetime | None
    segment_id: str | None
    item_id: str | None
    healing_id: str | None
    before: str | ItemShown | None
    after: str | ItemShown | None


class ChangeList(RootModel[list[ChangeShown]]):
    """All changes of a memory, newest first; there are at most 200."""


class ChangeViewSet(InTurn, viewsets.ViewSet):
    """Changes of a memory by its owner; those of somebody else's memory are 404."""

    @extend_schema(
        request=NewText,
        responses={200: Memory, 404: Detail, 409: Detail, 422: Detail},
        description="Puts the user's words in the place of a segment's; later runs keep them. 409: as many changes are "
        "kept as may be.",
    )
    def text(self, request: Request, memory_id: str, segment_id: str) -> Response:
        """Correct what a segment says."""
        given = body(NewText, request)
        changed = making.set_text(uid_of(request), memory_id, segment_id, given.text, fence=fence_of(request))
        return Response(as_json(changed))

    @extend_schema(
        request=MergedVoices,
        responses={200: Memory, 404: Detail, 409: Detail, 422: Detail},
        description="Says that two voices are one person; later runs keep it, and it can be undone. 409: as many "
        "changes are kept as may be.",
    )
    def merge_voices(self, request: Request, memory_id: str) -> Response:
        """Make two voices one."""
        given = body(MergedVoices, request)
        fence = fence_of(request)
        return Response(as_json(voices.merge(uid_of(request), memory_id, given.voice, given.into, fence=fence)))

    @extend_schema(
        request=SplitVoice,
        responses={200: Memory, 404: Detail, 409: Detail, 422: Detail},
        description="Says that these passages of one voice are another one, of nobody yet; later runs keep it, and it "
        "can be undone. 409: they are all that the voice says, or not of one voice, or as many changes are kept as may "
        "be.",
    )
    def split_voice(self, request: Request, memory_id: str) -> Response:
        """Make passages of a voice another voice."""
        given = body(SplitVoice, request)
        changed, _ = voices.split(uid_of(request), memory_id, given.segment_ids, fence=fence_of(request))
        return Response(as_json(changed))

    @extend_schema(responses={200: ItemList, 404: Detail})
    def items(self, request: Request, memory_id: str) -> Response:
        """The action items of a memory with their ids."""
        memory = repository.get_memory(uid_of(request), memory_id)
        return Response([as_json(_item(*pair)) for pair in making.listed(memory)])

    @extend_schema(request=NewItem, responses={200: ItemShown, 404: Detail, 409: Detail, 422: Detail})
    def add_item(self, request: Request, memory_id: str) -> Response:
        """Add an action item; one of the same words that is there is answered as it is."""
        given = body(NewItem, request)
        wanted = ActionItem(**given.model_dump())
        made = making.add_item(uid_of(request), memory_id, wanted, fence=fence_of(request))
        return Response(as_json(_item(*made)))

    @extend_schema(request=ChangedItem, responses={200: ItemShown, 404: Detail, 409: Detail, 422: Detail})
    def change_item(self, request: Request, memory_id: str, item_id: str) -> Response:
        """Set what is given of an action item."""
        given = body(ChangedItem, request).given()
        changed = making.change_item(uid_of(request), memory_id, item_id, given, fence=fence_of(request))
        return Response(as_json(_item(item_id, changed)))

    @extend_schema(responses={204: None, 404: Detail, 409: Detail})
    def delete_item(self, request: Request, memory_id: str, item_id: str) -> Response:
        """Take an action item off the list for good."""
        making.delete_item(uid_of(request), memory_id, item_id, fence=fence_of(request))
        return Response(status=204)

    @extend_schema(responses={200: ChangeList, 404: Detail})
    def list(self, request: Request, memory_id: str) -> Response:
        """What the user changed in the memory's words and action items."""
        return Response([as_json(_change(item)) for item in making.operations(uid_of(request), memory_id)])

    @extend_schema(request=None, responses={200: ChangeShown, 404: Detail})
    def undo(self, request: Request, memory_id: str, change_id: str) -> Response:
        """Take one change back; those after it stay."""
        undone = making.undo(uid_of(request), memory_id, change_id, fence=fence_of(request))
        return Response(as_json(_change(undone)))


def _item(identity: str, item: ActionItem) -> ItemShown:
    due = item.due_at.replace(tzinfo=item.due_at.tzinfo or UTC) if item.due_at else None
    return ItemShown(
        id=identity, description=item.description, completed=item.completed, owner=item.owner, due_at=due
    )  # fmt: skip


def _change(made: Change) -> ChangeShown:
    state: Literal["active", "orphaned", "undone"] = "active"
    if made.undone_at is not None:
        state = "undone"
    elif made.orphaned:
        state = "orphaned"
    before: str | ItemShown | None = made.before
    after: str | ItemShown | None = made.text
    if made.kind in ("voice_merge", "voice_split"):
        before, after = made.voice, made.into
    if made.item is not None:
        base = made.item
        shown = _item(str(made.item_id), base)
        before = None if made.kind == "item_add" else shown
        after = {
            "item_add": shown,
            "item_change": _item(str(made.item_id), ActionItem.model_validate(base.model_dump() | made.fields)),
        }.get(made.kind)
    return ChangeShown(
        id=made.id, kind=made.kind, at=made.at, state=state, undone_at=made.undone_at, segment_id=made.segment_id,
        item_id=made.item_id, healing_id=made.healing, before=before, after=after,
    )  # fmt: skip
