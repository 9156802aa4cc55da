"""One memory out of several: its transcript on one time axis, its voices, and what the user changed. Pure functions.

Times count from the first memory's second 0, by the clock: a pause between two conversations stays as long as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from memories.document_parts import MOST_TAGS
from memories.pipeline.rules import changes as rules
from memories.pipeline.rules import user_edits, voices
from memories.reshaping.shifting import decision, shifted
from memories.shapes import WORDS, ActionItem, Change, Memory, Structured, UserEdits
from transcription.segments import Segment, segment_id, speaker_label, speaker_number


@dataclass(frozen=True, slots=True)
class Placed:
    """A memory in the merged one. ``offset``: seconds from the merged one's second 0 to its own. ``ids``, ``labels``:
    what its segments and voices are called there. ``manual``: what the user said of its segments in whatever
    transcript, by segment id (``user_edits.manual_labels``)."""

    memory: Memory
    manual: Mapping[str, Mapping[str, Any]]
    offset: float
    ids: Mapping[str, str]
    labels: Mapping[str, str]


def zero_of(memory: Memory) -> datetime:
    """Second 0 of the memory's times."""
    return memory.time_zero or memory.started_at or memory.created_at


def placed(
    memories: Sequence[Memory], identity: str, manual: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None
) -> list[Placed]:
    """The memories by their second 0, each with its place in the merged one of this id. ``manual``: by memory id."""
    ordered = sorted(memories, key=lambda item: (zero_of(item), item.created_at, item.id))
    zero = zero_of(ordered[0])
    taken: set[str] = set()
    named: dict[tuple[bool, str | None], str] = {}
    free = 0
    found = []
    for memory in ordered:
        ids: dict[str, str] = {}
        for item in memory.transcript_segments:
            own = item.id if item.id not in taken else segment_id(identity, len(taken))
            ids[item.id] = own
            taken.add(own)
        labels = _labels(memory, named, free, keep=memory is ordered[0])
        free = max([free, *(speaker_number(label) + 1 for label in labels.values())])
        offset = round((zero_of(memory) - zero).total_seconds(), 3)
        found.append(Placed(memory, (manual or {}).get(memory.id, {}), offset, ids, labels))
    return found


def _labels(memory: Memory, named: dict[tuple[bool, str | None], str], free: int, *, keep: bool) -> dict[str, str]:
    """What the voices of a memory are called in the merged one. A voice that is somebody throughout has the label that
    they have in the memories before; every other one is of its own. ``named`` is added to."""
    names: dict[str, set[tuple[bool, str | None]]] = {}
    for item in memory.transcript_segments:
        names.setdefault(item.speaker, set()).add((item.is_user, item.person_id))
    labels: dict[str, str] = {}
    for label, said in names.items():
        who = next(iter(said)) if len(said) == 1 else (False, None)
        known = named.get(who) if who != (False, None) else None
        if keep:
            labels[label] = label
        elif known is not None:
            labels[label] = known
        else:
            labels[label] = speaker_label(free)
            free += 1
        if who != (False, None):
            named.setdefault(who, labels[label])
    return labels


def merged(parts: Sequence[Placed], identity: str) -> Memory:
    """The memory that takes the place of these. Its structure is put together from theirs until a run has made one.

    Raises TooManyChanges where they hold more operations of the user than one memory may.
    """
    memories = [part.memory for part in parts]
    first = memories[0]
    segments = sorted(
        (_moved(item, part) for part in parts for item in part.memory.transcript_segments),
        key=lambda item: (item.start, item.end),
    )
    edits = _edits(parts)
    structured = _structured(memories, edits)
    return Memory(
        id=identity,
        created_at=first.created_at,
        started_at=min(item.started_at or zero_of(item) for item in memories),
        finished_at=_latest(memories),
        time_zero=zero_of(first),
        source=first.source,
        language=_first(item.language for item in memories),
        structured=structured,
        transcript_segments=segments,
        geolocation=_first(item.geolocation for item in memories),
        photos=[photo for item in memories for photo in item.photos],
        plugins_results=[result for item in memories for result in item.plugins_results],
        external_data=_first(item.external_data for item in memories),
        emotional_feedback=any(item.emotional_feedback for item in memories),
        edits=edits,
        made_from=[item.id for item in memories],
        spoken_beside=[round(second + part.offset, 3) for part in parts for second in part.memory.spoken_beside],
    )


def _moved(item: Segment, part: Placed) -> Segment:
    return shifted(item, part.offset, id=part.ids[item.id], speaker=part.labels[item.speaker])


def _latest(memories: Sequence[Memory]) -> datetime | None:
    return max((item.finished_at for item in memories if item.finished_at), default=None)


def _first(values: Any) -> Any:
    return next((value for value in values if value), None)


def _structured(memories: Sequence[Memory], edits: UserEdits) -> Structured:
    """Titles, overviews, action items and events of all, each once."""
    told = [item.structured for item in memories]
    longest = max(memories, key=lambda item: sum(len(segment.text) for segment in item.transcript_segments))
    return Structured(
        title=edits.title or " · ".join(dict.fromkeys(item.title for item in told if item.title))[:300],
        overview=edits.overview or "\n\n".join(dict.fromkeys(item.overview for item in told if item.overview)),
        emoji=longest.structured.emoji,
        category=edits.category or longest.structured.category,
        action_items=list({rules.item_key(x.description): x for item in told for x in item.action_items}.values()),
        events=list({(x.title, x.start): x for item in told for x in item.events}.values()),
    )


def _edits(parts: Sequence[Placed]) -> UserEdits:
    """What the user set in any of them. Of titles, categories, folders and templates the first holds; overviews are
    put behind one another where each memory has one of the user's: one alone would speak of its part only."""
    edits = [part.memory.edits for part in parts]
    overviews = [item.overview for item in edits]
    operations = sorted((_operation(change, part) for part in parts for change in _on_own_items(part, parts)),
                        key=lambda change: change.at)  # fmt: skip
    listed = [pair for part in parts for pair in rules.items(rules.made_items(part.memory), part.memory.edits)]
    operations = [_apart(change, listed) for change in operations]
    touched = any(change.kind.startswith("item_") for change in operations)
    made = {rules.item_key(x.description): x for part in parts for x in rules.made_items(part.memory)}
    return UserEdits(
        title=_first(item.title for item in edits),
        overview="\n\n".join(filter(None, overviews)) if all(overviews) else None,
        category=_first(item.category for item in edits),
        speakers={part.labels[label]: _decision(said, part)
                  for part in parts for label, said in voices_said(part.memory, part.manual).items()},
        segments={part.ids.get(name, name): _decision(said, part)
                  for part in parts for name, said in part.memory.edits.segments.items()},
        events_created={key: flag for item in edits for key, flag in item.events_created.items()},
        changes=rules.kept(_once(operations)),
        made_items=list(made.values()) if touched else None,
        folder_id=_first(item.folder_id for item in edits),
        tag_ids=list(dict.fromkeys(tag for item in edits for tag in item.tag_ids))[:MOST_TAGS],
        comments=sorted((note for item in edits for note in item.comments), key=lambda note: note.at),
        template_id=_first(item.template_id for item in edits),
    )  # fmt: skip


def _apart(change: Change, listed: Sequence[tuple[str, ActionItem]]) -> Change:
    """The operation, that never means an item of another memory which says nearly the same."""
    if change.item is None:
        return change
    others = rules.beside(listed, str(change.item_id), change.item.description)
    return change.model_copy(update={"beside": list(dict.fromkeys([*change.beside, *others]))})


def voices_said(memory: Memory, manual: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The user's decisions about whole voices of the transcript that is shown, by label. One that was made in another
    transcript holds for the voice that bears its name in most of its segments."""
    told: dict[str, Counter[tuple[bool, str | None]]] = {}
    for item in memory.transcript_segments:
        said = manual.get(item.id)
        who = (bool(said["is_user"]), said.get("person_id")) if said is not None else (False, None)
        told.setdefault(item.speaker, Counter())[who] += 1
    found: dict[str, Mapping[str, Any]] = {}
    for label, count in told.items():
        direct = memory.edits.speakers.get(label)
        if direct is not None and user_edits.of_shown(direct, memory.active_transcript, memory.active_version):
            found[label] = direct
            continue
        (is_user, person_id), number = count.most_common(1)[0]
        if (is_user or person_id) and 2 * number > count.total():
            found[label] = {"is_user": is_user, "person_id": person_id, "speaker": label}
    return found


def _decision(said: Mapping[str, Any], part: Placed) -> dict[str, Any]:
    """A decision in the merged memory's times and labels."""
    moved = decision(said, part.offset)
    if moved.get("speaker") in part.labels:
        moved["speaker"] = part.labels[moved["speaker"]]
    return moved


def _once(operations: Sequence[Change]) -> list[Change]:
    """A healing that was done in several of the memories is one in the merged one."""
    found: dict[tuple[Any, ...], Change] = {}
    for change in operations:
        key = (change.healing, change.heard, change.text, change.undone_at) if change.kind == "heal" else (change.id,)
        first = found.setdefault(key, change)
        if first is not change:
            found[key] = first.model_copy(update={"places": {**first.places, **change.places}, "orphaned": False})
    return list(found.values())


def carried(memory: Memory) -> list[Change]:
    """The operations that go along. Those on voices are done: what is shown has the voices as the user made them."""
    return [change for change in memory.edits.changes if change.kind not in voices.KINDS]


def _on_own_items(part: Placed, parts: Sequence[Placed]) -> list[Change]:
    """The operations that go along, without taking another memory's action item of the same words along: deleted in
    this one alone it stays, and put into other words here it is one of its own."""
    others = {
        name
        for other in parts
        if other is not part
        for name, _ in rules.items(rules.made_items(other.memory), other.memory.edits)
        if all(change.item_id != name for change in rules.active(other.memory.edits, "item_change"))
    }
    found, own = [], set[str]()
    for change in carried(part.memory):
        if change.item is None or change.item_id not in others or change.kind == "item_add":
            found.append(change)
            continue
        if change.undone_at is not None:
            continue  # of an item that is another memory's from now on
        name = rules.item_id(f"{change.item_id} {part.memory.id}")
        if change.kind == "item_change" and (change.item_id in own or "description" in change.fields):
            kind = "item_change" if change.item_id in own else "item_add"
            item = (
                ActionItem.model_validate(change.item.model_dump() | change.fields)
                if kind == "item_add"
                else change.item
            )
            found.append(change.model_copy(update={"kind": kind, "item_id": name, "item": item}))
            own.add(str(change.item_id))
        elif change.item_id in own:
            found.append(change.model_copy(update={"item_id": name}))
        elif change.kind != "item_delete":
            found.append(change)
    return found


def _operation(change: Change, part: Placed) -> Change:
    if change.kind not in WORDS:
        return change
    return shifted(
        change, part.offset,
        segment_id=part.ids.get(change.segment_id or "", change.segment_id),
        places={part.ids.get(name, name): words for name, words in change.places.items()},
    )  # fmt: skip
