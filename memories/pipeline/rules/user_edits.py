"""What a person set, laid over what the machine made. Pure functions: publish applies them to the fresh document.

Edits name segments and voices of the transcript that was shown when they were made. Another transcript of the same
conversation has other ids and labels, so they are carried over by time.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from memories.shapes import Event, Structured, UserEdits, event_key
from transcription.segments import Segment, clean_text

SAME: Final = 0.5
"""Share of a new segment's time that must lie under what the person labelled."""

MOST: Final = 0.5
"""More than this share of a voice's speech must bear a label that was carried over, for it to be the voice's."""

Label = Mapping[str, Any]
Span = tuple[float, float, Label]
Named = tuple[str, str]
"""An event's title, as in ``event_key``, and its start in UTC."""

_WORD: Final = re.compile(r"[^\W\d_]{3,}")


def structured(made: Structured, edits: UserEdits) -> Structured:
    """The machine's structure with the person's title, overview, category and calendar flags."""
    fields: dict[str, Any] = {
        name: value
        for name, value in (("title", edits.title), ("overview", edits.overview), ("category", edits.category))
        if value is not None
    }
    keys = list(edits.events_created)
    paired = _pairs([_named_start(key) for key in keys], [_of(item) for item in made.events])
    fields["events"] = [
        item.model_copy(update={"created": edits.events_created[keys[paired[index]]]}) if index in paired else item
        for index, item in enumerate(made.events)
    ]
    return made.model_copy(update=fields)


def keep_flags(before: Structured, after: Structured) -> Structured:
    """What was ticked off stays ticked off where the new structure names the same thing. An event that stands in the
    person's calendar is kept, also where the new structure does not find it again."""
    done = {item.description.casefold() for item in before.action_items if item.completed}
    paired = _pairs([_of(item) for item in before.events], [_of(item) for item in after.events])
    events = [
        item.model_copy(update={"created": True}) if index in paired and before.events[paired[index]].created else item
        for index, item in enumerate(after.events)
    ]
    found = set(paired.values())
    events += [item for index, item in enumerate(before.events) if item.created and index not in found]
    return after.model_copy(
        update={
            "action_items": [
                item.model_copy(update={"completed": item.completed or item.description.casefold() in done})
                for item in after.action_items
            ],
            "events": events,
        }
    )


def _of(event: Event) -> Named:
    return _named_start(event_key(event.title, event.start))


def _named_start(key: str) -> Named:
    """Title and moment of an ``event_key``."""
    title, _, start = key.rpartition("@")
    try:
        moment = datetime.fromisoformat(start)
    except ValueError:
        return title, start
    return title, (moment.astimezone(UTC) if moment.tzinfo else moment).isoformat()


def _pairs(old: Sequence[Named], new: Sequence[Named]) -> dict[int, int]:
    """Which old event each new one is, by index; each is taken once. Title and start are the same; or the start is, and
    a word of the title; or the title is, and no other event on either side has it (a weekly meeting has it twice); or
    nothing else begins at that moment, whatever it is called now."""
    titles = [Counter(title for title, _ in side) for side in (old, new)]
    paired: dict[int, int] = {}

    def pair(alike: Callable[[Named, Named], bool]) -> None:
        for index, item in enumerate(new):
            free = [at for at, other in enumerate(old) if at not in paired.values() and alike(other, item)]
            if index not in paired and free:
                paired[index] = free[0]

    pair(lambda a, b: a == b)
    pair(lambda a, b: a[1] == b[1] and bool(_WORD.findall(a[0])) and not set(_WORD.findall(a[0])).isdisjoint(
        _WORD.findall(b[0])))  # fmt: skip
    pair(lambda a, b: a[0] == b[0] and titles[0][a[0]] == titles[1][a[0]] == 1)
    starts = [Counter(start for _, start in side) for side in (old, new)]
    pair(lambda a, b: a[1] == b[1] and starts[0][a[1]] == starts[1][a[1]] == 1)
    return paired


def manual_labels(
    segments: Sequence[Segment],
    edits: UserEdits,
    *,
    model: str | None,
    version: str | None = None,
    known: Mapping[str | None, Sequence[Segment]],
) -> dict[str, dict[str, Any]]:
    """The person's labels for ``segments`` (of transcript ``model``, in this ``version``), by segment id.

    ``known``: the stored transcripts by model, and by ``model@version`` (``transcripts.named_segments``). An
    assignment of a segment comes before one of its whole voice; the segment's own id comes before the moments it
    covers, as long as it is about the same moments.
    """
    spans = _spans(edits.segments, known)
    voice_spans: list[Span] = []
    voices: dict[str, Label] = {}
    for voice, value in edits.speakers.items():
        if of_shown(value, model, version):
            voices[voice] = _label(value)
            continue
        made_on = value.get("transcript")
        then = known.get(f"{made_on}@{value.get('version')}") or known.get(made_on, ())
        voice_spans += [(item.start, item.end, _label(value)) for item in then if item.speaker == voice]
    found: dict[str, dict[str, Any]] = {}
    for segment in segments:
        label = (
            of_segment(segment, edits.segments)
            or _under(segment, spans)
            or voices.get(segment.speaker)
            or _under(segment, voice_spans)
        )
        if label is not None:
            found[segment.id] = dict(label)
    return found


def naming(
    segments: Sequence[Segment], labels: Mapping[str, Label], edits: UserEdits, *, model: str | None,
    version: str | None = None,
) -> dict[str, Label]:  # fmt: skip
    """Return those of ``labels`` (``manual_labels``) that may say whose a whole voice is.

    What was said of this very segment or voice may. What was carried over by time counts for its seconds: it names a
    voice only where most of that voice's speech bears it, or one "yeah" inside of somebody's sentence would.
    """
    shown_voices = {voice for voice, value in edits.speakers.items() if of_shown(value, model, version)}
    total: defaultdict[str, float] = defaultdict(float)
    carried: defaultdict[tuple[str, Any, Any], float] = defaultdict(float)
    for item in segments:
        total[item.speaker] += item.end - item.start
        if item.id in labels:
            carried[_key(item.speaker, labels[item.id])] += item.end - item.start
    return {
        item.id: label
        for item in segments
        if (label := labels.get(item.id)) is not None
        and (
            item.speaker in shown_voices
            or of_segment(item, edits.segments) is not None
            or carried[_key(item.speaker, label)] > MOST * total[item.speaker]
        )
    }


def _key(voice: str, label: Label) -> tuple[str, Any, Any]:
    return voice, bool(label.get("is_user")), label.get("person_id")


def kept_whole(
    segments: Sequence[Segment], edits: UserEdits, known: Mapping[str | None, Sequence[Segment]]
) -> list[Segment]:
    """Return ``segments`` of another transcript, joined where they lie in one segment that a person edited: who speaks
    there was decided for all of it, and no later hearing cuts it. It is the voice's that has the most of it.

    ``known`` as for ``manual_labels``. Segments that a person named themselves stay as they are.
    """
    spans = _spans(edits.segments, known)
    joined: list[Segment] = []
    of: list[int | None] = []
    seconds: list[dict[str, float]] = []
    for item in sorted(segments, key=lambda one: (one.start, one.end)):
        span = None if item.id in edits.segments else _inside(item, spans)
        if span is None or not of or of[-1] != span:
            joined.append(item)
            of.append(span)
            seconds.append({item.speaker: item.end - item.start})
            continue
        last, spoken = joined[-1], seconds[-1]
        spoken[item.speaker] = spoken.get(item.speaker, 0.0) + item.end - item.start
        joined[-1] = last.model_copy(
            update={
                "text": clean_text(f"{last.text} {item.text}"),
                "end": max(last.end, item.end),
                "speaker": max(spoken, key=lambda voice: spoken[voice]),
            }
        )
    return joined


def _inside(segment: Segment, spans: Sequence[Span]) -> int | None:
    """The span that most of the segment's time lies in, by index."""
    shared = [min(segment.end, end) - max(segment.start, start) for start, end, _ in spans]
    best = max(range(len(shared)), key=lambda index: shared[index], default=None)
    return best if best is not None and shared[best] >= SAME * (segment.end - segment.start) else None


def of_shown(said: Label, model: str | None, version: str | None) -> bool:
    """Whether a label was named in this very transcript: in another version of the same model it is another voice, too.

    Older servers kept no version; then the model decides.
    """
    return said.get("transcript", model) == model and (version is None or said.get("version") in (None, version))


def apply(segments: Sequence[Segment], labels: Mapping[str, Label]) -> list[Segment]:
    """Segments with the person's labels."""
    return [
        segment.model_copy(update=dict(labels[segment.id])) if segment.id in labels else segment for segment in segments
    ]


def of_segment(segment: Segment, chosen: Mapping[str, Label]) -> Label | None:
    """The label of the segment's own id, where it is still about these moments: half of the shorter one (a segment
    that was named while it was spoken went on afterwards). An id alone is not enough to say who speaks."""
    value = chosen.get(segment.id)
    if value is None or "start" not in value or "end" not in value:
        return None if value is None else _label(value)
    start, end = float(value["start"]), float(value["end"])
    shared = min(segment.end, end) - max(segment.start, start)
    return _label(value) if shared >= SAME * min(segment.end - segment.start, end - start) else None


def _label(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"is_user": bool(value.get("is_user")), "person_id": value.get("person_id")}


def _spans(chosen: Mapping[str, Mapping[str, Any]], known: Mapping[str | None, Sequence[Segment]]) -> list[Span]:
    """The moments that were assigned: stored with the edit, or those of the segment it names."""
    spans: list[Span] = []
    untimed = dict(chosen)
    for key, value in chosen.items():
        if "start" in value and "end" in value:
            spans.append((float(value["start"]), float(value["end"]), _label(value)))
            untimed.pop(key)
    for version in known.values() if untimed else ():
        for item in version:
            if item.id in untimed:
                spans.append((item.start, item.end, _label(untimed.pop(item.id))))
    return spans


def _under(segment: Segment, spans: Sequence[Span]) -> Label | None:
    """The label that most of the segment's time was given, if it was given to at least half of it."""
    shares: dict[tuple[Any, Any], tuple[float, Label]] = {}
    for start, end, value in spans:
        shared = min(segment.end, end) - max(segment.start, start)
        if shared > 0:
            key = (value.get("is_user"), value.get("person_id"))
            shares[key] = (shares.get(key, (0.0, value))[0] + shared, value)
    if not shares:
        return None
    most, value = max(shares.values(), key=lambda item: item[0])
    return value if most >= SAME * (segment.end - segment.start) else None
