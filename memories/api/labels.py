"""``/v1/labels``: a user's folders and tags; ``/v1/memories/{id}/labels`` and ``…/comments`` (docs/editing.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from drf_spectacular.utils import extend_schema
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.long_memories import InTurn
from memories.api.reading import Query, body, idempotency_key, key_parameter, parameters, query
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.changes import comments
from memories.document_parts import MOST_TAGS, Comment
from memories.labels import labelling, store
from memories.shapes import Memory
from omi.accounts.requests import fence_of, uid_of
from omi.core.one_line import is_one_line, is_seen

KEY = key_parameter("same key: same comment")


def one_line(text: str) -> str:
    """A name, for pydantic. Raises ValueError."""
    text = " ".join(text.replace("\0", " ").split())
    if not is_seen(text) or not is_one_line(text):
        raise ValueError("should have letters, and no control characters")
    return text


def _lines(text: str) -> str:
    text = text.replace("\0", " ").replace("\r\n", "\n").strip()
    if not text:
        raise ValueError("should say something")
    return text


Name = Annotated[str, AfterValidator(one_line), Field(max_length=store.LONGEST_NAME)]
Text = Annotated[str, AfterValidator(_lines), Field(max_length=comments.LONGEST_COMMENT)]
LabelId = Annotated[str, Field(min_length=1, max_length=40)]


class NewLabel(BaseModel):
    """A folder or tag that the user makes."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["folder", "tag"]
    name: Name


class RenamedLabel(BaseModel):
    """The new name of a folder or tag."""

    model_config = ConfigDict(extra="forbid")

    name: Name


class LabelsQuery(Query):
    """The query of the list of labels: folders, tags, or both."""

    kind: Literal["folder", "tag"] | None = None


class LabelShown(BaseModel):
    """A folder or tag. ``memories``: how many bear it."""

    id: str
    kind: Literal["folder", "tag"]
    name: str
    created_at: datetime
    memories: int


class LabelList(RootModel[list[LabelShown]]):
    """Folders first, each kind by name."""


class LabelsOfMemory(BaseModel):
    """What is left out stays; ``folder_id`` null takes the memory out of its folder. ``tag_ids`` are all of its
    tags."""

    model_config = ConfigDict(extra="forbid")

    folder_id: LabelId | None = None
    tag_ids: list[LabelId] | None = Field(default=None, max_length=MOST_TAGS)


class NewComment(BaseModel):
    """A comment that the user writes on a memory."""

    model_config = ConfigDict(extra="forbid")

    text: Text


class CommentList(RootModel[list[Comment]]):
    """The comments on a memory, oldest first; there are at most 100."""


class LabelViewSet(viewsets.ViewSet):
    """Folders and tags of the user. Somebody else's are 404."""

    @extend_schema(parameters=parameters(LabelsQuery), responses={200: LabelList, 422: Detail})
    def list(self, request: Request) -> Response:
        """The user's folders and tags."""
        uid, asked = uid_of(request), query(LabelsQuery, request)
        counts = store.counts(uid)
        return Response([as_json(_shown(label, counts[label.id])) for label in store.listed(uid, asked.kind)])

    @extend_schema(request=NewLabel, responses={200: LabelShown, 409: Detail, 422: Detail})
    def create(self, request: Request) -> Response:
        """Make a folder or tag; one of the same name that is there is answered as it is."""
        uid, given = uid_of(request), body(NewLabel, request)
        made = store.create(uid, given.kind, given.name, fence=fence_of(request))
        return Response(as_json(_shown(made, store.count(uid, made.id))))

    @extend_schema(request=RenamedLabel, responses={200: LabelShown, 404: Detail, 409: Detail, 422: Detail})
    def partial_update(self, request: Request, label_id: str) -> Response:
        """Rename a folder or tag: its memories bear the new name at once. 409: another has this name."""
        uid, given = uid_of(request), body(RenamedLabel, request)
        changed = store.rename(uid, label_id, given.name, fence=fence_of(request))
        return Response(as_json(_shown(changed, store.count(uid, label_id))))

    @extend_schema(responses={204: None, 404: Detail})
    def destroy(self, request: Request, label_id: str) -> Response:
        """Delete a folder or tag. Its memories stay."""
        labelling.delete(uid_of(request), label_id)
        return Response(status=204)


class MemoryLabelViewSet(InTurn, viewsets.ViewSet):
    """The folder, the tags and the comments of one memory. Somebody else's is 404."""

    @extend_schema(
        request=LabelsOfMemory,
        responses={200: Memory, 404: Detail, 422: Detail},
        description="`folder_id` and `tag_ids` then stand in the memory's `edits`, and later runs keep them. 404 also "
        "for a folder or tag that is not there.",
    )
    def labels(self, request: Request, memory_id: str) -> Response:
        """Put a memory into a folder, and tag it."""
        given = body(LabelsOfMemory, request).model_dump(exclude_unset=True)
        return Response(as_json(labelling.put(uid_of(request), memory_id, given, fence=fence_of(request))))

    @extend_schema(responses={200: CommentList, 404: Detail})
    def comments(self, request: Request, memory_id: str) -> Response:
        """The comments on a memory."""
        return Response([as_json(item) for item in comments.listed(uid_of(request), memory_id)])

    @extend_schema(
        request=NewComment, parameters=[KEY], responses={200: Comment, 404: Detail, 409: Detail, 422: Detail}
    )
    def add_comment(self, request: Request, memory_id: str) -> Response:
        """Comment on a memory."""
        given, key = body(NewComment, request), idempotency_key(request) or ""
        made = comments.add(uid_of(request), memory_id, given.text, key=key, fence=fence_of(request))
        return Response(as_json(made))

    @extend_schema(request=NewComment, responses={200: Comment, 404: Detail, 409: Detail, 422: Detail})
    def edit_comment(self, request: Request, memory_id: str, comment_id: str) -> Response:
        """Change the words of a comment."""
        given = body(NewComment, request)
        changed = comments.edit(uid_of(request), memory_id, comment_id, given.text, fence=fence_of(request))
        return Response(as_json(changed))

    @extend_schema(responses={204: None, 404: Detail})
    def delete_comment(self, request: Request, memory_id: str, comment_id: str) -> Response:
        """Delete one comment of a memory."""
        comments.delete(uid_of(request), memory_id, comment_id, fence=fence_of(request))
        return Response(status=204)


def _shown(label: store.Label, count: int) -> LabelShown:
    return LabelShown(**label.model_dump(), memories=count)
