"""Vendors' words made ours: whatever the times and labels are, every word that was heard stands once in the answer."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from omi.core.vendor_fields import Losses, code, label, number
from transcription.segments import Word, speaker_label

SHORTEST = 0.01  # seconds
GUESSED_SECONDS = 1.0  # length of a word whose end the vendor leaves open (the original's rule)
LATEST = 7 * 86400.0  # no recording is a week long: a later time is no time
ISLAND_PAUSE = 0.5
"""Seconds of silence at most between a word and the sentence that it is inside of."""
Turn = tuple[float, float, str | int]
"""Start, end (seconds) and voice of a stretch, as the vendor's diarization found it."""
_LABEL = re.compile(r"SPEAKER_\d{2,4}")


@dataclass(frozen=True, slots=True)
class RawWord:
    """What a vendor said, unchecked. A text of several words is a phrase with one time for all."""

    text: str
    start: float | None
    end: float | None
    speaker: str | int | None = None
    confidence: float | None = None
    language: str | None = None


def raw_word(
    said: str | None, start: object, end: object, losses: Losses, *, speaker: object = None, confidence: object = None,
    language: object = None,
) -> RawWord | None:  # fmt: skip
    """What the vendor gave for one word, each field read by itself. None, counted as a loss, where it has no text."""
    if said is None:
        losses.part()
        return None
    return RawWord(
        said,
        losses.field(start, number(start)),
        losses.field(end, number(end)),
        losses.field(speaker or None, label(speaker)),
        losses.field(confidence, number(confidence)),
        losses.field(language or None, code(language)),
    )


def without_islands(words: Sequence[RawWord], turns: Sequence[Turn]) -> list[RawWord]:
    """Return the words with each outlier put right: one word of another voice inside a sentence becomes the sentence's,
    where the vendor's own turns say so.

    Vendors label words by the turn they lie under, and a turn's edge that is out by half a word makes an island. Said
    so: the voice around it has more of the word's time in ``turns`` than the voice that it bears. Where both speak all
    the while ("yeah", said across a sentence), the word stays whose it is. Without turns nothing is absorbed.
    """
    found = list(words)
    for index in range(1, len(words) - 1) if turns else ():
        before, word, after = found[index - 1], words[index], words[index + 1]
        if None in (before.speaker, word.speaker) or before.speaker != after.speaker or word.speaker == before.speaker:
            continue
        times = [before.end, word.start, word.end, after.start]
        start, end = word.start, word.end
        if start is None or end is None or None in times:
            continue
        if start - (before.end or 0.0) > ISLAND_PAUSE or (after.start or 0.0) - end > ISLAND_PAUSE:
            continue  # a pause on either side: it is an answer, not a part of the sentence
        if _under(turns, before.speaker, start, end) > _under(turns, word.speaker, start, end):
            found[index] = replace(word, speaker=before.speaker)
    return found


def _under(turns: Sequence[Turn], speaker: str | int | None, start: float, end: float) -> float:
    return sum(max(0.0, min(end, until) - max(start, moment)) for moment, until, who in turns if who == speaker)


def clean_words(raw: Iterable[RawWord], *, seconds: float) -> list[Word]:
    """Words in time order with ``0 <= start < end``. ``seconds`` is the recording's length (0: unknown).

    Missing or senseless starts follow the word before; missing ends last a second at most; swapped times are put
    right; times past the end are moved to it; phrases are cut into words; labels become ``SPEAKER_NN``; a voice that
    the vendor left open stays open (None).
    """
    phrases = [item for item in raw if item.text and item.text.strip()]
    labels: dict[str | int, str] = {}
    words: list[Word] = []
    before = 0.0
    for index, item in enumerate(phrases):
        start, end = _moment(item.start), _moment(item.end)
        start = before if start is None else start
        if end is None:
            following = next((time for other in phrases[index + 1 :][:5] if (time := _moment(other.start))), None)
            end = start + GUESSED_SECONDS
            if following is not None and following > start:
                end = min(end, following)
        start, end = min(start, end), max(start, end)
        if seconds > 0:
            start, end = min(start, max(0.0, seconds - SHORTEST)), min(end, seconds)
        end = max(end, start + SHORTEST)
        before = end
        words += _split(item, start, end, _label(item.speaker, labels))
    return sorted(words, key=lambda word: (word.start, word.end))


def commonest(languages: Iterable[str | None]) -> str | None:
    """The language of most words; None where none is told."""
    heard = Counter(language for language in languages if language)
    return heard.most_common(1)[0][0] if heard else None


def _moment(value: float | None) -> float | None:
    if value is None or not math.isfinite(value) or value > LATEST:
        return None
    return max(0.0, float(value))


def _label(speaker: str | int | None, labels: dict[str | int, str]) -> str | None:
    """Our label for a vendor's. Labels of our form are kept; others are numbered as they appear, never colliding."""
    if speaker is None or speaker == "":
        return None
    if speaker not in labels:
        if isinstance(speaker, str) and _LABEL.fullmatch(speaker) and speaker not in labels.values():
            labels[speaker] = speaker
        else:
            taken, number = set(labels.values()), len(labels)
            while speaker_label(number) in taken:
                number += 1
            labels[speaker] = speaker_label(number)
    return labels[speaker]


def _split(item: RawWord, start: float, end: float, speaker: str | None) -> list[Word]:
    tokens = item.text.split()
    total = sum(len(token) for token in tokens)
    confidence = item.confidence
    if confidence is not None:
        confidence = min(1.0, max(0.0, confidence)) if math.isfinite(confidence) else None
    made, done = [], 0
    for token in tokens:
        first = start + (end - start) * done / total
        done += len(token)
        last = start + (end - start) * done / total
        made.append(
            Word(
                text=token,
                start=round(first, 3),
                end=round(max(last, first + SHORTEST), 3),
                speaker=speaker,
                confidence=confidence,
                language=item.language,
            )
        )
    return made
