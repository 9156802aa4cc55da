"""Two transcripts word by word, side by side, in time that grows with their length and not with its square.

The comparison walks through both in pieces of ``PIECE`` words; the pieces are cut behind the last match, so that what
moved a little is still found. After ``PATIENCE`` seconds it says that the rest was not compared.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal, NamedTuple

from memories.support.situation import Situation
from transcription.segments import Segment

PIECE: Final = 160
PATIENCE: Final = 0.5
CONTEXT: Final = 8
"""Equal words around a difference; more are counted only."""
ROWS: Final = 300

_MARKS: Final = re.compile(r"[\W_]+")

Kind = Literal["same", "changed", "left", "right"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the comparison. ``at``: seconds at which the left (else the right) words begin. ``same`` rows have
    ``count`` words in all."""

    kind: Kind
    left: str
    right: str
    at: float
    count: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two transcripts, compared: ``same``, ``removed`` and ``added`` words; ``whole``: everything was compared and is
    shown."""

    rows: list[Row]
    same: int
    removed: int
    added: int
    whole: bool

    @property
    def alike(self) -> float:
        """Share of the words that both have, 0..1."""
        total = 2 * self.same + self.removed + self.added
        return 2 * self.same / total if total else 1.0


class Said(NamedTuple):
    """A word as it stands, as it is compared, and when."""

    text: str
    key: str
    at: float


def words(segments: Sequence[Segment]) -> list[Said]:
    """The words in order; each at its share of its segment's time."""
    found: list[Said] = []
    keys: dict[str, str] = {}
    for segment in sorted(segments, key=lambda item: (item.start, item.end)):
        pieces = segment.text.split()
        each = (segment.end - segment.start) / len(pieces) if pieces else 0.0
        for index, text in enumerate(pieces):
            if text not in keys:
                keys[text] = _MARKS.sub("", text.casefold()) or text
            found.append(Said(text, keys[text], segment.start + index * each))
    return found


def compare(before: Sequence[Said], after: Sequence[Said]) -> Comparison:
    """Compare two transcripts word by word; beyond the bounds of time or ``ROWS`` it stops, and ``whole`` is false."""
    rows: list[Row] = []
    counts = {"same": 0, "left": 0, "right": 0}
    whole = True
    for a, b in _stretches(before, after):
        if a is None or b is None:
            whole = False
            break
        equal = len(a) == len(b) and all(x.key == y.key for x, y in zip(a, b, strict=True))
        if equal:
            counts["same"] += len(a)
        else:
            counts["left"] += len(a)
            counts["right"] += len(b)
        _add(rows, "same" if equal else "changed", a, b)
    shown = [_shortened(row, first=index == 0, last=index == len(rows) - 1) for index, row in enumerate(rows)]
    return Comparison(shown[:ROWS], counts["same"], counts["left"], counts["right"], whole and len(shown) <= ROWS)


def _add(rows: list[Row], kind: Kind, a: Sequence[Said], b: Sequence[Said]) -> None:
    """Another stretch; joined to the one before where that is of the same kind."""
    if len(rows) > ROWS:
        return
    left, right = (" ".join(item.text for item in side) for side in (a, b))
    at, count = (a or b)[0].at, len(a)
    alike = kind if kind == "same" else "changed" if a and b else "left" if a else "right"
    if rows and (rows[-1].kind == "same") == (kind == "same"):
        last = rows.pop()
        left, right = f"{last.left} {left}".strip(), f"{last.right} {right}".strip()
        at, count = last.at, last.count + count
        if kind != "same":
            alike = "changed" if left and right else "left" if left else "right"
    rows.append(Row(alike, left, right, at, count))


def _shortened(row: Row, *, first: bool, last: bool) -> Row:
    if row.kind != "same" or row.count <= 3 * CONTEXT:
        return row
    both = []
    for side in (row.left, row.right):
        said = side.split()
        head = [] if first else said[:CONTEXT]
        tail = [] if last else said[-CONTEXT:]
        gap = f"… {len(said) - len(head) - len(tail)} words the same …"
        both.append(" ".join([*head, gap, *tail]))
    return Row("same", both[0], both[1], row.at, row.count)


def _stretches(
    before: Sequence[Said], after: Sequence[Said]
) -> Iterator[tuple[Sequence[Said] | None, Sequence[Said] | None]]:
    """Pairs of stretches that are equal or not; (None, None) where time was up."""
    deadline = time.monotonic() + PATIENCE
    i = j = 0
    while i < len(before) or j < len(after):
        run = 0
        while i + run < len(before) and j + run < len(after) and before[i + run].key == after[j + run].key:
            run += 1
        if run:
            yield before[i : i + run], after[j : j + run]
            i, j = i + run, j + run
            continue
        if time.monotonic() > deadline:
            yield None, None
            return
        a, b = before[i : i + PIECE], after[j : j + PIECE]
        over = i + PIECE >= len(before) and j + PIECE >= len(after)
        x = y = 0
        matcher = SequenceMatcher(None, [item.key for item in a], [item.key for item in b], autojunk=False)
        blocks = [block for block in matcher.get_matching_blocks() if block.size]
        for block in blocks:
            if block.a > x or block.b > y:
                yield a[x : block.a], b[y : block.b]
            yield a[block.a : block.a + block.size], b[block.b : block.b + block.size]
            x, y = block.a + block.size, block.b + block.size
        if over or not blocks:
            if x < len(a) or y < len(b):
                yield a[x:], b[y:]
            x, y = len(a), len(b)
        i, j = i + x, j + y


def chosen(now: Situation, wanted: str) -> tuple[str, Sequence[Segment]] | None:
    """The name and the segments of the version that the address names (``model@version``); None where it names none."""
    listed = (item for versions in now.versions.values() for item in versions if item.segments)
    found = next((item for item in listed if f"{item.model}@{item.version}" == wanted), None)
    return (f"{found.model}@{found.version}", found.segments) if found is not None else None
