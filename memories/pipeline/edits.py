"""What a person set, laid over what the machine made. Pure functions: publish applies them to the fresh document.

Edits name segments and voices of the transcript that was shown when they were made. Another transcript of the same
conversation has other ids and labels, so they are carried over by time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from memories.shapes import Event, Structured, UserEdits, event_key
from transcription.segments import Segment

SAME: Final = 0.5
"""Share of a new segment's time that must lie under what the person labelled."""

Label = Mapping[str, Any]
Span = tuple[float, float, Label]


def structured(made: Structured, edits: UserEdits) -> Structured:
    """The machine's structure with the person's title, overview, category and calendar flags."""
    fields: dict[str, Any] = {
        name: value
        for name, value in (("title", edits.title), ("overview", edits.overview), ("category", edits.category))
        if value is not None
    }
    fields["events"] = [_flagged(item, edits) for item in made.events]
    return made.model_copy(update=fields)


def _flagged(event: Event, edits: UserEdits) -> Event:
    """A flag belongs to a title and a start; where a run found another start, to the title alone."""
    title = event.title.strip().casefold()
    exact = edits.events_created.get(event_key(title, event.start))
    alike = [value for key, value in edits.events_created.items() if key.rpartition("@")[0] == title]
    flag = exact if exact is not None else (alike[-1] if alike else None)
    return event if flag is None else event.model_copy(update={"created": flag})


def keep_flags(before: Structured, after: Structured) -> Structured:
    """What was ticked off stays ticked off where the new structure names the same thing."""
    done = {item.description.casefold() for item in before.action_items if item.completed}
    created = {item.title.casefold() for item in before.events if item.created}
    return after.model_copy(
        update={
            "action_items": [
                item.model_copy(update={"completed": item.completed or item.description.casefold() in done})
                for item in after.action_items
            ],
            "events": [
                item.model_copy(update={"created": item.created or item.title.casefold() in created})
                for item in after.events
            ],
        }
    )


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
    spans = _spans(edits.segments, edits, known)
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
            _named(segment, edits.segments)
            or _under(segment, spans)
            or voices.get(segment.speaker)
            or _under(segment, voice_spans)
        )
        if label is not None:
            found[segment.id] = dict(label)
    return found


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


def _named(segment: Segment, chosen: Mapping[str, Label]) -> Label | None:
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


def _spans(
    chosen: Mapping[str, Mapping[str, Any]], edits: UserEdits, known: Mapping[str | None, Sequence[Segment]]
) -> list[Span]:
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
