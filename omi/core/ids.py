"""One rule for every id that a client brings: of a user, a memory, a conversation, a person, a segment.

What passes can be stored everywhere: it is a part of a document's path, of a vector's id (Pinecone: ASCII), of an
address, and fits into a column. What does not is refused where it comes in, not by the store that meets it last.
"""

from __future__ import annotations

import re

LONGEST = 128
"""Characters; Firebase's own limit for a user's id."""

_ID = re.compile(r"[!-.0-~]{1,128}\Z")
_RESERVED = re.compile(r"\.{1,2}\Z|__.*__\Z")


def is_id(text: object) -> bool:
    """1 to 128 printable ASCII characters without blank and slash; not ``.``, ``..`` or ``__x__`` (Firestore's own)."""
    return isinstance(text, str) and _ID.match(text) is not None and _RESERVED.match(text) is None


def checked(text: str) -> str:
    """Return the id if it may be one, as pydantic's validator. Raises ValueError."""
    if not is_id(text):
        raise ValueError(f"an id has 1 to {LONGEST} printable ASCII characters, without blanks and slashes")
    return text
