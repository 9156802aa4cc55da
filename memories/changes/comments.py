"""Comments of a person on a memory: apart from what the machine made, so that every run leaves them as they are."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from memories.document_parts import Comment, too_many
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.accounts.erased import Fence

LONGEST_COMMENT: Final = 4000
_KEY_CHARACTERS: Final = 13
"""Of the id of a comment that was added with an idempotency key: those that the key gives."""


class CommentNotFound(LookupError):
    """The memory has no such comment (404)."""


class AnotherComment(Exception):
    """The idempotency key was used for a comment of other words (409)."""


class TooManyComments(Exception):
    """The memory holds as many comments, or words in them, as it may (409)."""


def listed(uid: str, memory_id: str) -> list[Comment]:
    """The comments on a memory, oldest first. Raises MemoryNotFound."""
    return repository.get_memory(uid, memory_id).edits.comments


def add(uid: str, memory_id: str, text: str, *, key: str = "", fence: Fence) -> Comment:
    """Add a comment. ``key``: the request's idempotency key; one that was used gives the comment of then.

    Raises MemoryNotFound, AnotherComment, TooManyComments and what ``fence`` raises.
    """
    made = Comment(id=_id(memory_id, key, text), text=text, at=datetime.now(UTC))

    def change(memory: Memory) -> dict[str, Any]:
        there = memory.edits.comments
        if _found(there, made.id):
            return {}
        if key and any(item.id.startswith(made.id[:_KEY_CHARACTERS]) for item in there):
            raise AnotherComment
        return _with(memory, [*there, made])

    changed = repository.mutate_memory(uid, memory_id, change, fence=fence)
    return _found(changed.edits.comments, made.id) or made


def edit(uid: str, memory_id: str, comment_id: str, text: str, *, fence: Fence) -> Comment:
    """Put other words in the place of a comment's. Raises MemoryNotFound, CommentNotFound, TooManyComments and what
    ``fence`` raises."""

    def change(memory: Memory) -> dict[str, Any]:
        before = _require(memory, comment_id)
        if before.text == text:
            return {}
        after = before.model_copy(update={"text": text, "edited_at": datetime.now(UTC)})
        return _with(memory, [after if item.id == comment_id else item for item in memory.edits.comments])

    return _require(repository.mutate_memory(uid, memory_id, change, fence=fence), comment_id)


def delete(uid: str, memory_id: str, comment_id: str, *, fence: Fence) -> None:
    """Take a comment away for good. Raises MemoryNotFound, CommentNotFound and what ``fence`` raises."""

    def change(memory: Memory) -> dict[str, Any]:
        _require(memory, comment_id)
        return _with(memory, [item for item in memory.edits.comments if item.id != comment_id])

    repository.mutate_memory(uid, memory_id, change, fence=fence)


def _with(memory: Memory, comments: list[Comment]) -> dict[str, Any]:
    longer = sum(len(item.text) for item in comments) > sum(len(item.text) for item in memory.edits.comments)
    if longer and too_many(comments):
        raise TooManyComments
    return {"edits": memory.edits.model_copy(update={"comments": comments})}


def _require(memory: Memory, comment_id: str) -> Comment:
    found = _found(memory.edits.comments, comment_id)
    if found is None:
        raise CommentNotFound(comment_id)
    return found


def _found(comments: Sequence[Comment], comment_id: str) -> Comment | None:
    return next((item for item in comments if item.id == comment_id), None)


def _id(memory_id: str, key: str, text: str) -> str:
    """Of the key and of the words, each in its part: an edited comment still tells which ones it was made with. Of the
    memory, too: merged with another one each comment has an id of its own."""
    if not key:
        return f"cm_{secrets.token_hex(8)}"
    told = (f"{memory_id}\n{key}", text)
    of_key, of_text = (hashlib.sha256(item.encode("utf-8", "replace")).hexdigest() for item in told)
    return f"cm_{of_key}"[:_KEY_CHARACTERS] + of_text[:6]
