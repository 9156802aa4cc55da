"""What a language model reads to write a recap: the period's memories, numbered, with tags in place of names. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from memories.passages import cutting
from memories.shapes import Memory
from memories.structuring.prompts import one_line
from transcription.segments import Segment

MOST_CHARACTERS = 48_000
"""Of all memories together, about 12,000 tokens; each has an equal share, evenly from beginning to end."""
LEAST_SHARE = 600
LOOKED_AT = 2000
"""Segments of one memory that are looked through."""
USER, SOMEBODY = "@0", "somebody"


@dataclass(frozen=True, slots=True)
class Material:
    """What a model makes a recap from. ``text``: what the model reads. ``memories`` by the number under which they
    stand in it. ``voices``: tags of people (``@1``) and whose they are; None is the user."""

    text: str
    memories: dict[int, Memory]
    voices: dict[str, str | None]


def gathered(memories: Sequence[Memory], zone: tzinfo) -> Material:
    """Return the material of ``memories``, oldest first. A name stands in it only where somebody said it, or in a
    title."""
    voices: dict[str, str | None] = {}
    share = max(LEAST_SHARE, MOST_CHARACTERS // max(1, len(memories)))
    numbered: dict[int, Memory] = {}
    parts, left = [], MOST_CHARACTERS
    for memory in memories:
        lines = _lines(memory, share, voices)
        at = (memory.started_at or memory.created_at).astimezone(zone)
        title = one_line(_untagged(memory.structured.title))
        part = "\n".join([f'[{len(numbered) + 1}] {at:%A %Y-%m-%d %H:%M} "{title}"', *lines])
        if not lines or len(part) > left:
            continue
        left -= len(part)
        numbered[len(numbered) + 1] = memory
        parts.append(part)
    return Material("\n\n".join(parts), numbered, voices)


def _lines(memory: Memory, most: int, voices: dict[str, str | None]) -> list[str]:
    segments = memory.transcript_segments[:LOOKED_AT]
    cut = cutting.passages(segments)
    size = sum(len(passage.text) for passage in cut)
    taken = max(1, round(len(cut) * most / size)) if size > most else len(cut)
    chosen = [cut[index * len(cut) // taken] for index in range(taken)] if cut else []
    return [
        f"{_tag(segment, voices)}: {' '.join(_untagged(segment.text).split())[: cutting.MOST_CHARACTERS]}"
        for passage in chosen
        for segment in segments[passage.first : passage.last + 1]
        if segment.text.strip()
    ]


def _untagged(text: str) -> str:
    """Nobody who speaks writes a tag."""
    return text.replace("@", " at ")


def _tag(segment: Segment, voices: dict[str, str | None]) -> str:
    if segment.is_user:
        voices[USER] = None
        return USER
    if segment.person_id is None:
        return SOMEBODY
    known = next((tag for tag, person in voices.items() if person == segment.person_id), None)
    tag = known or f"@{1 + sum(person is not None for person in voices.values())}"
    voices[tag] = segment.person_id
    return tag
