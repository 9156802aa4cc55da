"""Little talks with what a person would note of them: ``choose/`` to set the rules on, ``report/`` to judge them by.

A file is: ``language | moment zone | the user``, the turns (``?Agent`` is a voice that nobody named), then the parts
``-- tasks`` (what | owner | day),
``-- events`` (words of the title | local start, one or more that are right), ``-- category`` (any of these) and
``-- about`` (words of which title and overview must hold some). ``optional``: may be found, need not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from memories.shapes import ActionItem, Event, Structured
from memories.structuring.base import StructureRequest
from memories.structuring.words import words
from transcription.segments import Segment

FOLDER = Path(__file__).parent
_SMALL = frozenset(
    "a an the to of in on at by for and my your their our der die das den el la los las de le les du des un une".split()
)


@dataclass(frozen=True)
class Wanted:
    what: str
    details: list[str]
    optional: bool


@dataclass
class Talk:
    name: str
    request: StructureRequest
    tasks: list[Wanted] = field(default_factory=list)
    events: list[Wanted] = field(default_factory=list)
    category: set[str] = field(default_factory=set)
    about: set[str] = field(default_factory=set)

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.request.segments)


@dataclass
class Score:
    """``right`` of ``made`` are wanted; ``found`` of ``wanted`` were made; ``details`` lists wrong owners and days."""

    made: int = 0
    right: int = 0
    wanted: int = 0
    found: int = 0
    details: list[str] = field(default_factory=list)

    def add(self, other: Score) -> None:
        self.made, self.right = self.made + other.made, self.right + other.right
        self.wanted, self.found = self.wanted + other.wanted, self.found + other.found
        self.details += other.details

    @property
    def precision(self) -> float:
        return self.right / self.made if self.made else 1.0

    @property
    def recall(self) -> float:
        return self.found / self.wanted if self.wanted else 1.0


def talks(part: str) -> list[Talk]:
    return [read(path) for path in sorted((FOLDER / part).glob("*.talk"))]


def read(path: Path) -> Talk:
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    language, moment, user = (item.strip() for item in head.split("|"))
    day, clock, zone = moment.split(" ")
    parts: dict[str, list[str]] = {"talk": []}
    now = "talk"
    for line in filter(None, lines):
        if line.startswith("-- "):
            now = line[3:].strip()
            parts[now] = []
        else:
            parts[now].append(line)
    segments, names = _segments(parts["talk"], user)
    started = datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=ZoneInfo(zone))
    request = StructureRequest(segments, started, language=language, time_zone=zone, names=names, user_name=user)
    tasks, events = ([_wanted(line) for line in parts[name]] for name in ("tasks", "events"))
    category, about = (set(" ".join(parts[name]).casefold().split()) for name in ("category", "about"))
    return Talk(path.stem, request, tasks, events, category, about)


def _segments(lines: list[str], user: str) -> tuple[list[Segment], dict[str, str]]:
    names: dict[str, str] = {}
    numbers: dict[str, int] = {}
    segments = []
    for at, line in enumerate(lines):
        who, _, text = line.partition(": ")
        numbers.setdefault(who, 1 + len(numbers))
        known = who != user and not who.startswith("?")
        if known:
            names[f"id-{who}"] = who
        segments.append(
            Segment(
                id=f"s{at}", text=text, speaker=f"SPEAKER_{numbers[who]:02d}", is_user=who == user,
                person_id=f"id-{who}" if known else None, start=6.0 * at, end=6.0 * at + 5,
            )
        )  # fmt: skip
    return segments, names


def _wanted(line: str) -> Wanted:
    what, *details = (item.strip() for item in line.split("|"))
    return Wanted(what, [item for item in details if item != "optional"], "optional" in details)


def score_tasks(talk: Talk, made: list[ActionItem]) -> Score:
    score = Score(made=len(made), wanted=sum(not item.optional for item in talk.tasks))
    left = list(made)
    for wanted in sorted(talk.tasks, key=lambda item: item.optional):
        best = max(left, key=lambda item: _overlap(wanted.what, item.description), default=None)
        if best is None or _overlap(wanted.what, best.description) < 0.5:
            continue
        left.remove(best)
        score.right += 1
        score.found += not wanted.optional
        if wanted.optional or len(wanted.details) < 2:
            continue
        owner, day = wanted.details
        due = best.due_at.astimezone(talk.request.started_at.tzinfo) if best.due_at else None
        if owner and best.owner != owner:
            score.details.append(f"{talk.name}: {wanted.what}: owner {best.owner}, not {owner}")
        if (f"{due:%Y-%m-%d}" if due else "") != day:
            score.details.append(f"{talk.name}: {wanted.what}: due {due}, not {day or 'none'}")
    return score


def score_events(talk: Talk, made: list[Event]) -> Score:
    score = Score(made=len(made), wanted=sum(not item.optional for item in talk.events))
    left = list(made)
    for wanted in talk.events:
        starts = [start if " " in start else f"{start} 09:00" for start in wanted.details]
        hit = next(
            (
                event for event in left
                if f"{event.start.astimezone(talk.request.started_at.tzinfo):%Y-%m-%d %H:%M}" in starts
                and _overlap(wanted.what, event.title) >= 0.5
            ), None,
        )  # fmt: skip
        if hit is not None:
            left.remove(hit)
            score.right += 1
            score.found += not wanted.optional
    return score


def unsupported_figures(talk: Talk, made: Structured) -> set[str]:
    """Figures of title, overview and items that nobody said, dates that are worked out left out."""
    shown = " ".join(
        [made.title, made.overview, *(re.sub(r" \([^()]*\)$", "", it.description) for it in made.action_items)]
    )
    return set(re.findall(r"\d+", shown)) - set(re.findall(r"\d+", talk.text))


def _overlap(wanted: str, made: str) -> float:
    need, have = set(words(wanted)) - _SMALL, set(words(made))
    return len(need & have) / max(1, len(need))
