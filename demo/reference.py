"""What a person would note of the two bundled conversations, and how well the demo must do: it fails below this.

A task is words that its description must hold, and who is to do it; an event is words that its title must hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


COVERED = 0.95
"""Share of the script's words whose middle lies under some segment, at the least."""


@dataclass(frozen=True)
class Reference:
    """``word_errors`` at most, ``speakers`` (share of the words under a segment that stand
    under the right name) at least; None asks nothing.
    ``tasks`` and ``events`` that are missed are counted against ``missed``; one that is not here always fails."""

    word_errors: float | None = None
    speakers: float | None = None
    tasks: tuple[tuple[str, str], ...] = ()
    events: tuple[str, ...] = ()
    missed: int = 0
    live_word_errors: float | None = None
    live_speakers: float | None = None
    subjects: tuple[str, ...] = field(default=())
    """Title and overview must hold at least two of these words."""


CONVERSATION = Reference(
    word_errors=0.01,
    speakers=1.0,
    live_word_errors=0.04,
    live_speakers=0.97,
    tasks=(
        ("pipes", "Peter"), ("budget", "Anna"), ("letter parents", "Anna"), ("builder", "David"), ("report", "Peter"),
        ("flowers", "Anna"),
    ),
    events=("train", "dentist", "decision"),
    subjects=("pipes", "school", "kitchen", "letter", "parents", "dollars", "$4,000", "budget", "water"),
)  # fmt: skip
SECOND = Reference(
    word_errors=0.2,
    speakers=0.75,
    tasks=(
        ("pay deposit", "Mia"), ("kitchen", ""), ("keys", ""), ("address", "Mia"),
    ),
    events=("movers", "lunch"),
    missed=3,
    subjects=("move", "movers", "moving", "truck", "deposit", "kitchen", "van", "keys", "address", "sofa", "lunch"),
)  # fmt: skip


def faults(reference: Reference, part: Json, structured: Json, live: Json | None = None) -> list[str]:
    """One sentence for each bound that is missed; empty where the demo did what it promises."""
    found = _measures("the transcript", part, reference.word_errors, reference.speakers)
    if live is not None:
        found += _measures("the live transcript", live, reference.live_word_errors, reference.live_speakers)
    tasks, events = list(reference.tasks), list(reference.events)
    for item in structured["action_items"]:
        twin = next((task for task in tasks if _is(task, item)), None)
        if twin is None:
            found.append(f"nobody was to do this: {item['description']}")
        else:
            tasks.remove(twin)
    for event in structured["events"]:
        twin_event = next((name for name in events if _holds(event["title"], name)), None)
        if twin_event is None:
            found.append(f"nothing of this kind was planned: {event['title']}")
        else:
            events.remove(twin_event)
    if len(tasks) + len(events) > reference.missed:
        found.append(f"missed: {', '.join([*(what for what, _ in tasks), *events])}")
    told = f"{structured['title']} {structured['overview']}".casefold()
    if reference.subjects and sum(word in told for word in reference.subjects) < 2:
        found.append(f"title and overview do not say what it was about: {structured['title']}")
    return found


def _measures(what: str, part: Json, errors: float | None, speakers: float | None) -> list[str]:
    found = []
    if errors is not None and part["word_error_rate"] > errors:
        found.append(f"{what} has {part['word_error_rate']:.1%} word errors, at most {errors:.0%} are promised")
    covered = part["speakers"]["covered"]
    if covered < COVERED:
        found.append(f"only {covered:.1%} of the words lie under a segment of {what}")
    share = part["speakers"]["accuracy"] / covered if covered else 0.0
    if speakers is not None and share < speakers:
        found.append(f"{what} has the right speaker on {share:.1%} of its words, {speakers:.0%} are promised")
    return found


def _is(task: tuple[str, str], item: Json) -> bool:
    what, owner = task
    return _holds(item["description"], what) and (not owner or item.get("owner") == owner)


def _holds(text: str, words: str) -> bool:
    return all(word in text.casefold() for word in words.split())
