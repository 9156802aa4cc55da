"""Texts of cases without what names somebody, as far as that can be seen: people's names, addresses, numbers.

A conversation can tell who speaks in ways that no rule sees, so cases are shared only with consent all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PATTERNS = (
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "[address]"),
    (re.compile(r"(?:https?://|www\.)\S+"), "[link]"),
    (re.compile(r"\+?\d(?:[\s().-]?\d){6,18}"), "[number]"),
)
MOST_NAMES = 500


def without(text: str, names: Iterable[str]) -> str:
    """Return ``text`` with each of ``names`` as ``[name]``, and e-mail addresses, links and long numbers masked."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    words = {part for name in names for part in (name, *name.split()) if len(part) > 2}
    known = sorted(words, key=len, reverse=True)[:MOST_NAMES]
    if not known:
        return text
    return re.sub(rf"\b(?:{'|'.join(map(re.escape, known))})\b", "[name]", text, flags=re.IGNORECASE)
