"""Words and segments: the shapes that every transcript has, and the pure rules that make one from the other.

All times are float seconds since the session's anchor (the first audio byte of the memory's first session). Labels
are ``SPEAKER_00``, ``SPEAKER_01``...: the app parses the number after the first underscore.
"""

from __future__ import annotations

import hashlib
import math
import re
import uuid
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, Field, computed_field, field_validator

SAME_SPEAKER_GAP = 30.0
"""Seconds of silence after which the same voice starts a new segment (the original app's and server's rule)."""

MAX_SEGMENT_SECONDS = 60.0
"""Longest segment: a monologue is split at a word boundary (the original made one segment of an hour)."""

_LABEL = re.compile(r"[A-Za-z]+_([0-9]{1,9})\Z")
_CLOSING = ("", ",", ".", "?", "!", ";", ":", *"，。？！；：、」』）")
_BLANK_BEFORE = re.compile(r"\s+(?:([,.?!;:]+)(?=\s|$)|(?=[，。？！；：、」』）]))")
_WITHOUT_BLANKS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Japanese and Chinese, with their marks
    "\uff01-\uff0f\uff1a-\uff20\uff3b-\uff65\uff66-\uff9f"  # marks as wide as a character, narrow katakana
    "\U00020000-\U0003ffff"
)
_NO_BLANK = re.compile(f"[{_WITHOUT_BLANKS}]")
_BLANK_WITHIN = re.compile(f"(?<=[{_WITHOUT_BLANKS}])\\s+(?=[{_WITHOUT_BLANKS}])")
_SEGMENT_NAMESPACE = uuid.UUID("6f9e9a0e-2f6b-4a0e-9f0a-7c1f0a3d5b21")


class Word(BaseModel):
    """One recognised word with its punctuation. ``speaker`` is a label, or None where the engine cannot tell."""

    model_config = ConfigDict(frozen=True)

    text: str
    start: float
    end: float
    speaker: str | None = None
    confidence: float | None = None
    language: str | None = None


class Segment(BaseModel):
    """A stretch of one voice. ``id`` is stable: it never changes once it was shown or stored."""

    id: str = Field(default_factory=lambda: str(uuid.uuid4()))
    text: str
    speaker: str = "SPEAKER_00"
    is_user: bool = False
    person_id: str | None = None
    start: float
    end: float
    stt_provider: str | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def speaker_id(self) -> int:
        return speaker_number(self.speaker)

    @field_validator("start", "end", mode="before")
    @classmethod
    def _as_float(cls, value: object) -> float:
        # The app casts these to double and crashes on a JSON integer.
        try:
            seconds = float(value)  # type: ignore[arg-type]
        except (TypeError, OverflowError) as error:  # pydantic knows only ValueError
            raise ValueError("a time must be a number of seconds") from error
        if not math.isfinite(seconds):
            raise ValueError("a time must be finite")
        return seconds


def is_speaker_label(label: str) -> bool:
    """Whether the app can read it: letters, an underscore, a number."""
    return _LABEL.match(label) is not None


def speaker_number(label: str | None) -> int:
    """The number in ``SPEAKER_07``; 0 for anything else, so that an unknown label never raises."""
    found = _LABEL.match(label or "")
    return int(found.group(1)) if found else 0


def speaker_label(number: int) -> str:
    """Return the label of the voice with this number: ``SPEAKER_00`` and on."""
    return f"SPEAKER_{number:02d}"


def segment_id(scope: str, index: int) -> str:
    """Deterministic id for the ``index``-th segment of ``scope`` (a memory or transcript version)."""
    # ``str(uuid.uuid5(...))``, without its two objects: each word of each live session needs one.
    name = _SEGMENT_NAMESPACE.bytes + f"{scope}/{index}".encode()
    found = bytearray(hashlib.sha1(name, usedforsecurity=False).digest()[:16])
    found[6], found[8] = found[6] & 0x0F | 0x50, found[8] & 0x3F | 0x80
    text = found.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def written_without_blanks(text: str) -> bool:
    """Whether ``text`` begins with a character of a writing that puts no blanks between words (Chinese, Japanese, Thai,
    Lao, Burmese, Khmer). Korean has blanks. False for an empty text."""
    return _NO_BLANK.match(text) is not None


def clean_text(text: str) -> str:
    """Fold white space to single blanks, drop the blank before ``, . ? ! ; :`` and those between two characters of a
    writing that has none. No word of any other is ever glued, and none is lost."""
    folded = _BLANK_BEFORE.sub(lambda found: found.group(1) or "", " ".join(text.split()))
    return folded if folded.isascii() else _BLANK_WITHIN.sub("", folded)


def end_of(segments: Iterable[Segment]) -> float:
    """The second at which the last of them ends; 0 where there are none."""
    return max((item.end for item in segments), default=0.0)


def joined(text: str, more: str) -> str:
    """Return ``clean_text`` of a text that is clean and of more, without going through the first one again."""
    more = more.strip()
    if not text or more[:1] in _CLOSING:
        return clean_text(f"{text} {more}")
    blank = "" if written_without_blanks(text[-1]) and written_without_blanks(more) else " "
    return f"{text}{blank}{clean_text(more)}"


def text_of(words: Iterable[Word]) -> str:
    """Words as they are written: with blanks between them, or without in a writing that has none."""
    return clean_text(" ".join(word.text for word in words))


def fill_missing_speakers(words: Sequence[Word]) -> list[Word]:
    """Give each word without a speaker the label of the nearest labelled word in time.

    Where nobody is labelled the words keep None: an honest unknown, not ``SPEAKER_00``.
    """
    known = [word for word in words if word.speaker is not None]
    if not known or len(known) == len(words):
        return list(words)
    filled: list[Word] = []
    cursor = 0
    for word in words:
        if word.speaker is not None:
            filled.append(word)
            continue
        while cursor + 1 < len(known) and _distance(known[cursor + 1], word) <= _distance(known[cursor], word):
            cursor += 1
        filled.append(word.model_copy(update={"speaker": known[cursor].speaker}))
    return filled


def _distance(a: Word, b: Word) -> float:
    return max(a.start - b.end, b.start - a.end, 0.0)


def segments_from_words(
    words: Iterable[Word],
    *,
    scope: str,
    provider: str | None = None,
    max_gap: float = SAME_SPEAKER_GAP,
    max_seconds: float = MAX_SEGMENT_SECONDS,
) -> list[Segment]:
    """Group words into segments by voice and gap.

    Words are sorted by start; swapped times are put right; every word of the input stands once in the output, in
    order. Ids are ``segment_id(scope, index)``.
    """
    ordered = sorted((word for word in words if word.text.strip()), key=lambda word: (word.start, word.end))
    groups: list[list[Word]] = []
    for word in fill_missing_speakers(ordered):
        last = groups[-1] if groups else None
        if (
            last is not None
            and last[-1].speaker == word.speaker
            and word.start - max(item.end for item in last) < max_gap
            and max(word.end, word.start) - last[0].start <= max_seconds
        ):
            last.append(word)
        else:
            groups.append([word])
    return [_segment(group, segment_id(scope, index), provider) for index, group in enumerate(groups)]


def _segment(group: Sequence[Word], identity: str, provider: str | None) -> Segment:
    start = max(0.0, min(min(word.start, word.end) for word in group))
    end = max(max(word.start, word.end) for word in group)
    return Segment(
        id=identity,
        text=text_of(group),
        speaker=group[0].speaker or speaker_label(0),
        start=round(start, 3),
        end=round(max(end, start + 0.01), 3),
        stt_provider=provider,
    )


def plain_text(segments: Iterable[Segment]) -> str:
    """Return the words of all segments as one text."""
    return " ".join(segment.text for segment in segments if segment.text)


def render(segments: Sequence[Segment], *, names: dict[str, str] | None = None, user_name: str = "User") -> str:
    """Transcript as people read it: ``User: ...`` or ``Ana: ...`` or ``Speaker 2: ...``, a blank line between turns.

    ``names`` maps ``person_id`` to a name.
    """
    lines = []
    for segment in segments:
        if segment.is_user:
            who = user_name
        elif segment.person_id and names and segment.person_id in names:
            who = names[segment.person_id]
        else:
            who = f"Speaker {segment.speaker_id}"
        lines.append(f"{who}: {segment.text}")
    return "\n\n".join(lines)
