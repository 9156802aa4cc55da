"""A memory as a file to read elsewhere: subtitles (SRT, WebVTT), plain text, Markdown. Pure.

Times are those of the segments: seconds since the memory's second 0, which is second 0 of its recording, too.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from memories.shapes import Memory
from transcription.segments import Segment, written_without_blanks

CUE_CHARACTERS = 84
"""Longest text of one subtitle: two lines of 42 characters, as broadcasters allow."""

SHORTEST_CUE = 0.001
"""Seconds. WebVTT refuses a cue that does not end after it starts."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~])")
_LIST_OR_RULE = re.compile(r"^(\d*)([-=.])")


@dataclass(frozen=True)
class Cue:
    """One subtitle: seconds, who speaks, and a text of one line."""

    start: float
    end: float
    speaker: str
    text: str


def speaker_name(segment: Segment, names: Mapping[str, str], user: str) -> str:
    """Who a reader takes the speaker for: the user's own name, the person's present name, else "Speaker 1"."""
    if segment.is_user:
        return user or "You"
    if segment.person_id and segment.person_id in names:
        return names[segment.person_id]
    return f"Speaker {segment.speaker_id + 1}"


def cues(memory: Memory, names: Mapping[str, str], user: str) -> Iterator[Cue]:
    """The subtitles in the order of their start. A segment too long for one is divided, its time by its letters."""
    for segment in sorted(memory.transcript_segments, key=lambda item: (item.start, item.end)):
        text = _one_line(segment.text)
        if not text:
            continue
        speaker = _one_line(speaker_name(segment, names, user))
        pieces = _pieces(text)
        length, said = sum(map(len, pieces)), 0
        start = max(0.0, segment.start)
        seconds = max(segment.end - start, SHORTEST_CUE * len(pieces))
        for piece in pieces:
            begins, said = start + seconds * said / length, said + len(piece)
            yield Cue(begins, start + seconds * said / length, speaker, piece)


def srt(memory: Memory, names: Mapping[str, str], user: str) -> str:
    """SubRip. The arrow of a time line is broken up where somebody's text holds one."""
    parts = []
    for number, cue in enumerate(cues(memory, names, user), 1):
        start, end = _milliseconds(cue)
        text = f"{cue.speaker}: {cue.text}".replace("-->", "→")
        parts.append(f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text}\n")
    return "\n".join(parts)


def vtt(memory: Memory, names: Mapping[str, str], user: str) -> str:
    """WebVTT with a voice span per cue; markup in somebody's text or name is text."""
    parts = ["WEBVTT\n"]
    for cue in cues(memory, names, user):
        start, end = _milliseconds(cue)
        text = html.escape(cue.text, quote=False)
        parts.append(
            f"{_clock(start, '.')} --> {_clock(end, '.')}\n<v {html.escape(cue.speaker, quote=False)}>{text}</v>\n"
        )
    return "\n".join(parts)


def txt(memory: Memory, names: Mapping[str, str], user: str, zone: ZoneInfo) -> str:
    """Plain text: title, when, overview, and the talk with a time and a name for each segment."""
    lines = [_one_line(memory.structured.title) or "Untitled", _when(memory, zone), ""]
    if memory.structured.overview:
        lines += [_one_line(memory.structured.overview), ""]
    for section in memory.structured.sections:
        lines += [_one_line(section.heading), *(f"- {_one_line(point.text)}" for point in section.points), ""]
    lines += [f"[{_clock(start, None)}] {name}: {text}" for start, name, text in _talk(memory, names, user)]
    return "\n".join(lines) + "\n"


def markdown(memory: Memory, names: Mapping[str, str], user: str, zone: ZoneInfo) -> str:
    """A Markdown note: heading, overview, tasks as check boxes, events, the user's comments, and the talk. What was
    said is never markup."""
    structured = memory.structured
    lines = [
        f"# {literal(structured.title) or 'Untitled'}",
        "",
        f"{_when(memory, zone)} · {structured.category.value}",
        "",
    ]
    if structured.overview:
        lines += [literal(structured.overview), ""]
    for section in structured.sections:
        lines += [f"## {literal(section.heading)}", "", *(f"- {literal(point.text)}" for point in section.points), ""]
    if structured.action_items:
        lines += ["## Action items", ""]
        lines += [
            f"- [{'x' if item.completed else ' '}] {literal(item.description)}" for item in structured.action_items
        ]
        lines.append("")
    if structured.events:
        lines += ["## Events", ""]
        lines += [
            f"- {event.start.astimezone(zone):%Y-%m-%d %H:%M}, {event.duration} min: {literal(event.title)}"
            for event in structured.events
        ]
        lines.append("")
    if memory.edits.comments:
        lines += ["## Comments", ""]
        lines += [
            f"- {comment.at.astimezone(zone):%Y-%m-%d}: {literal(comment.text)}" for comment in memory.edits.comments
        ]
        lines.append("")
    if memory.transcript_segments:
        lines += ["## Transcript", ""]
        for start, name, text in _talk(memory, names, user):
            lines += [f"**{literal(name)}** ({_clock(start, None)}): {literal(text)}", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def note(memory: Memory, names: Mapping[str, str], user: str, zone: ZoneInfo, labels: Mapping[str, str]) -> str:
    """The Markdown with front matter, for a folder of linked notes; a person's name in it links to their note.

    ``labels``: names of the user's folders and tags by id.
    """
    spoken = {item.person_id for item in memory.transcript_segments if item.person_id}
    known = sorted(spoken & names.keys())
    matter = {
        "id": memory.id,
        "date": f"{(memory.started_at or memory.created_at).astimezone(zone):%Y-%m-%dT%H:%M:%S%z}",
        "aliases": [_one_line(memory.structured.title)] if memory.structured.title else [],
        "category": memory.structured.category.value,
        "language": memory.language or "",
        **_labels(memory, labels),
        "people": [f"[[people/{person_id}]]" for person_id in known],
    }
    # JSON is YAML: no text of anybody can end the block or begin another key.
    head = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in matter.items()]
    links = [f"[[people/{person_id}|{_linked(names[person_id])}]]" for person_id in known]
    with_whom = [f"With {', '.join(links)}.", ""] if links else []
    return "\n".join(["---", *head, "---", *with_whom, markdown(memory, names, user, zone)])


def _labels(memory: Memory, called: Mapping[str, str]) -> dict[str, str | list[str]]:
    """Folder and tags, those that there are; a tag of several words with hyphens, as readers of notes take it."""
    folder = called.get(memory.edits.folder_id or "")
    tags = ["-".join(called[tag].split()) for tag in memory.edits.tag_ids if tag in called]
    return {**({"folder": folder} if folder else {}), **({"tags": tags} if tags else {})}


def _linked(name: str) -> str:
    """A name within a link of two brackets."""
    return re.sub(r"[\[\]|]", " ", _one_line(name))


def _talk(memory: Memory, names: Mapping[str, str], user: str) -> Iterator[tuple[int, str, str]]:
    """Milliseconds, speaker and text of each segment that holds one."""
    for segment in sorted(memory.transcript_segments, key=lambda item: (item.start, item.end)):
        if text := _one_line(segment.text):
            yield round(max(0.0, segment.start) * 1000), _one_line(speaker_name(segment, names, user)), text


def _when(memory: Memory, zone: ZoneInfo) -> str:
    moment: datetime = memory.started_at or memory.created_at
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})"


def _one_line(text: str) -> str:
    """Without control characters and line breaks: a blank line inside of a subtitle would end it."""
    return " ".join(_CONTROL.sub(" ", text).split())


def literal(text: str) -> str:
    """Return ``text`` so that a Markdown reader shows it and takes none of it for markup."""
    return _LIST_OR_RULE.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", _one_line(text)))


def _pieces(text: str) -> list[str]:
    if written_without_blanks(text):
        return [text[at : at + CUE_CHARACTERS] for at in range(0, len(text), CUE_CHARACTERS)]
    return list(_lines(text.split()))


def _lines(words: Sequence[str]) -> Iterator[str]:
    """Words filled into lines of CUE_CHARACTERS; a word longer than that is divided. Takes time in proportion to the
    text: ``textwrap`` copies what is left of a long word for each of its lines."""
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) <= CUE_CHARACTERS:
            line = f"{line} {word}"
            continue
        if line:
            yield line
        whole = (len(word) - 1) // CUE_CHARACTERS * CUE_CHARACTERS
        yield from (word[at : at + CUE_CHARACTERS] for at in range(0, whole, CUE_CHARACTERS))
        line = word[whole:]
    if line:
        yield line


def _milliseconds(cue: Cue) -> tuple[int, int]:
    """Start and end in whole milliseconds; the end is after the start also once both are rounded."""
    start = round(cue.start * 1000)
    return start, max(start + 1, round(cue.end * 1000))


def _clock(milliseconds: int, point: str | None) -> str:
    """``HH:MM:SS`` with ``point`` before the milliseconds, or without them."""
    seconds, rest = divmod(milliseconds, 1000)
    whole = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return whole if point is None else f"{whole}{point}{rest:03d}"
