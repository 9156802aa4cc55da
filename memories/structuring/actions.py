"""Action items by rule: commitments ("I will call ...") and requests ("please ask ...", "do not forget to ...")."""

from __future__ import annotations

import re
from collections.abc import Sequence

from memories.shapes import ActionItem
from memories.structuring.sentences import Sentence, words

MAX_ITEMS = 20
_COMMITMENT = re.compile(
    r"\b(?:i|we)(?:'ll|\s+will|\s+am\s+going\s+to|'m\s+going\s+to|\s+are\s+going\s+to|\s+need\s+to|\s+have\s+to"
    r"|\s+must|\s+should|\s+promise\s+to|'ve\s+got\s+to|\s+want\s+to)\s+(?:also\s+|just\s+|then\s+|definitely\s+)?(?P<what>.+)",
    re.IGNORECASE,
)
_REQUEST = re.compile(
    r"\b(?:please(?:\s+(?:do\s+not|don't)\s+forget\s+to|\s+remember\s+to)?|(?:do\s+not|don't)\s+forget\s+to"
    r"|remember\s+to|remind\s+me\s+to|make\s+sure\s+(?:to|you|that\s+you)|(?:can|could|would)\s+you(?:\s+please)?"
    r"|you(?:\s+need\s+to|\s+have\s+to|\s+must|\s+should))\s+(?P<what>.+)",
    re.IGNORECASE,
)
_NOT_TASKS = re.compile(
    r"^(?:not|never|be|have|see|remember|know|think|hope|guess|like|love|say|miss|agree|wait|look\s+forward|talk\s+about"
    r"|go\s+ahead|hear|feel|forget|take\s+care|excuse|repeat|believe|imagine|understand)\b",
    re.IGNORECASE,
)
_TRAILING = re.compile(r"[\s,;:.!?…-]+$")
_SAME = 0.6  # share of common content words above which two items are one
_FILL = frozenset(
    """
        a an the to of on in at by for and or my your our his her their you me us it this that before after
    """.split()
)


def action_items(talk: Sequence[Sentence]) -> list[ActionItem]:
    """Items in the order of the talk, each with who is to do it where that was said, without repetitions."""
    found: list[tuple[str, str | None]] = []
    for sentence in talk:
        item = _item(sentence)
        if item is None:
            continue
        twin = next((at for at, known in enumerate(found) if _alike(known[0], item[0])), None)
        if twin is None:
            found.append(item)
        elif found[twin][1] is None:
            found[twin] = item  # who takes a request on is worth more than the request
    return [ActionItem(description=_describe(*item)) for item in found[:MAX_ITEMS]]


def _item(sentence: Sentence) -> tuple[str, str | None] | None:
    request = _REQUEST.search(sentence.text)
    commitment = _COMMITMENT.search(sentence.text)
    match = request or commitment
    if match is None or (match is commitment and sentence.text.rstrip().endswith("?")):
        return None
    what = _TRAILING.sub("", match["what"].strip())
    if _NOT_TASKS.match(what) or len(words(what)) < 2:
        return None
    if match is commitment:
        alone = match[0][:1].lower() == "i"
        return what, sentence.speaker if alone else "everyone"
    return what, sentence.speaker if "remind me" in match[0].lower() else None


def _describe(what: str, owner: str | None) -> str:
    text = what[:1].upper() + what[1:]
    return f"{text} ({owner})" if owner else text


def _alike(a: str, b: str) -> bool:
    first, second = set(words(a)) - _FILL, set(words(b)) - _FILL
    return bool(first and second) and len(first & second) / min(len(first), len(second)) >= _SAME
