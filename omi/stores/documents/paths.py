"""Paths of documents and collections: built from parts, checked once, never glued from what a client sent."""

from __future__ import annotations

import re

from omi.stores.documents.base import InvalidPath

MAX_PART_BYTES = 1500
"""Firestore's limit for one id."""

MAX_PATH_BYTES = 6 * 1024
"""Firestore's limit for a document's name."""

_RESERVED = re.compile(r"^__.*__$", re.DOTALL)


def path(*parts: str) -> str:
    """Return the path of a document or collection, such as ``path("users", uid, "memories", id)``. Raises InvalidPath:
    a part with a slash cannot reach another document."""
    for part in parts:
        check_part(part)
    joined = "/".join(parts)
    if len(joined.encode()) > MAX_PATH_BYTES:
        raise InvalidPath(f"a path may have {MAX_PATH_BYTES} bytes")
    return joined


def document_parts(name: str) -> list[str]:
    """Return the ids that a document's path is made of; raises InvalidPath."""
    parts = _parts(name)
    if len(parts) % 2:
        raise InvalidPath("a document's path has an even number of parts")
    return parts


def collection_parts(name: str) -> list[str]:
    """Return the ids that a collection's path is made of; raises InvalidPath."""
    parts = _parts(name)
    if not len(parts) % 2:
        raise InvalidPath("a collection's path has an odd number of parts")
    return parts


def parent_of(name: str) -> str:
    """The collection in which a document lies."""
    return name.rsplit("/", 1)[0]


def check_part(part: str) -> None:
    """Make sure that an id may stand in a path; raises InvalidPath."""
    if not isinstance(part, str) or not part:
        raise InvalidPath("an id is a string that is not empty")
    if part in {".", ".."} or "/" in part or "\x00" in part or _RESERVED.match(part):
        raise InvalidPath("an id holds no slash and no NUL, and is none of '.', '..', '__...__'")
    try:
        size = len(part.encode())
    except UnicodeEncodeError as error:
        raise InvalidPath("an id must be valid Unicode") from error
    if size > MAX_PART_BYTES:
        raise InvalidPath(f"an id may have {MAX_PART_BYTES} bytes")


def _parts(name: str) -> list[str]:
    if not isinstance(name, str):
        raise InvalidPath("a path is a string")
    parts = name.split("/")
    path(*parts)
    return parts
