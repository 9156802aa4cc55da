"""From segments to sentences, punctuated or not, and to the clauses in which tasks and dates are looked for.

A long stretch without punctuation is cut before words that open a new thought. Sentences are not reworded; only
``tidy`` leaves out what was taken back and sounds that mean nothing, for titles, tasks and events.

Every rule of this package works on what is made here, and takes time in proportion to its length: white space is
folded, a sentence has at most ``MAX_SENTENCE`` characters, and of one talk ``MAX_CHARACTERS`` are read. What lies
beyond stays in the transcript, which no rule touches; the title and the tasks are then those of the first part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memories.structuring.tongues.base import Tongue
from memories.structuring.tongues.en import ENGLISH_TONGUE
from memories.structuring.tongues.known import CODES, by_code
from memories.structuring.words import MAX_CHARACTERS, words
from transcription.segments import Segment

RESTARTED = 4
"""Words of a beginning that is begun again."""
TURN_GAP = 1.0
"""Seconds between two turns over which a sentence may go on."""
MAX_SENTENCE = 400
"""Characters: thirty seconds of speech in one breath. A longer one is cut between words."""

_STOP = re.compile(r"(?<=[.!?。！？…]) |(?<=[。！？])")
_ENDS = re.compile(r"[.!?。！？…]")
_ABBREVIATED = re.compile(r"\b(?:mr|mrs|ms|dr|prof|st|nr|bzw|ca|sr|sra)\.$", re.IGNORECASE)
_CORRECTS = re.compile(
    r"(?:no,? wait|wait,? no|no,? sorry|sorry,? (?:at|on|in|by|no)|or rather|scratch that|nein,? warte|nein,? quatsch"
    r"|no,? espera|no,? perdón|mejor dicho|non,? attends|non,? pardon|ou plutôt)\b",
    re.IGNORECASE,
)
"""A sentence that begins so takes something back of the one before: both are read as one."""
_NUMBERED = re.compile(r"\b\d{1,2}\.$")
_OPENERS = re.compile(
    r" (?=(?:(?:and|but|so|then|well|yes|no|okay) )?(?:i'll|i will|i am going|i'm going|i need to|i have to"
    r"|i have an?|i must|i agree|we should|we need to|we have to|we will|we went|let us|let's|please|do not forget"
    r"|don't forget|remember to|make sure|my name is|that is|that sounds|that's|how much|how long|how was|hello"
    r"|good morning|thank you|can you|could you|would you|have a|it was|the next thing|and my|and then)\b)",
    re.IGNORECASE,
)
MIN_UNPUNCTUATED = 3  # words on either side of a cut
MAX_UNPUNCTUATED = 40  # words: a stretch without any opener is cut here


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a conversation. ``speaker`` is who said it as people read it (a name, ``User``, ``Speaker 2``).
    ``start`` in seconds."""

    text: str
    speaker: str
    is_user: bool
    start: float

    @property
    def words(self) -> list[str]:
        return words(self.text)


def fold(text: str, most: int = MAX_CHARACTERS) -> str:
    """The first ``most`` characters with single blanks and straight apostrophes, as every rule reads them."""
    return " ".join(text[:most].split()).replace("’", "'")


def speaker_name(segment: Segment, names: dict[str, str], user_name: str) -> str:
    """Return the name of who speaks the segment: the user's, a known person's, or ``Speaker N``."""
    if segment.is_user:
        return user_name
    return names.get(segment.person_id or "") or f"Speaker {segment.speaker_id}"


def sentences(segments: Sequence[Segment], *, names: dict[str, str], user_name: str) -> list[Sentence]:
    """The sentences of the first MAX_CHARACTERS of a talk. An unknown voice that says its name is called by it."""
    found: list[Sentence] = []
    room = MAX_CHARACTERS
    said: dict[str, str] = {}
    for segment in segments:
        if not segment.is_user and not names.get(segment.person_id or "") and segment.speaker not in said:
            named = _introduced(segment.text[:MAX_SENTENCE])
            if named:
                said[segment.speaker] = named
    going_on = _marked(segments)
    before: Segment | None = None
    for segment in segments:
        if room <= 0:
            break
        who = speaker_name(segment, names, user_name)
        if not segment.is_user and not names.get(segment.person_id or ""):
            who = said.get(segment.speaker, who)
        mine = [Sentence(text, who, segment.is_user, segment.start) for text in split(segment.text[:room])]
        if going_on and before and mine and found and _is_cut(found[-1], mine[0], before, segment):
            mine[0] = _mended(found.pop(), mine[0])
        found += mine
        before = segment
        room -= len(segment.text)
    return found


def _marked(segments: Sequence[Segment]) -> bool:
    """Whether the transcript has capitals and marks, so that their absence at a turn's edge says something."""
    texts = [segment.text.strip()[:MAX_SENTENCE] for segment in segments if segment.text.strip()]
    marked = sum(text[:1].isupper() + bool(_ENDS.search(text)) for text in texts)
    return bool(texts) and marked > len(texts)


def _is_cut(last: Sentence, first: Sentence, before: Segment, segment: Segment) -> bool:
    """Whether a turn's edge lies inside a sentence: no mark before it and a small letter after it."""
    goes_on = last.text[-1:].isalpha() and first.text[:1].islower()
    near = segment.start - before.end <= TURN_GAP
    return goes_on and near and len(last.text) + len(first.text) < MAX_SENTENCE


def _mended(last: Sentence, first: Sentence) -> Sentence:
    """The whole sentence, said by who said most of it: the edge of a turn is off by some words at times."""
    whole = f"{last.text} {first.text}"
    if len(first.words) > len(last.words):
        return Sentence(whole, first.speaker, first.is_user, last.start)
    return Sentence(whole, last.speaker, last.is_user, last.start)


def _introduced(text: str) -> str:
    """The name that somebody gives as their own, in any of the languages; empty without one."""
    folded = fold(text)
    named = next((found for code in CODES if (found := by_code(code).introduces.search(folded))), None)
    return named["name"] if named else ""


def split(text: str) -> list[str]:
    """Sentences of a text, in order; every word of it stands once in the answer."""
    pieces: list[str] = []
    for part in _parts(" ".join(text.split())):
        for piece in _unpunctuated(part) if _needs_cutting(part) else [part]:
            pieces += _bounded(piece)
    return pieces


def clauses(text: str, tongue: Tongue = ENGLISH_TONGUE) -> list[str]:
    """The clauses of a sentence, tidied: what one may ask, promise or announce at a time."""
    whole = tidy(text, tongue)
    parts = [part.strip(" ,;:") for part in tongue.clause.split(whole)]
    return [part for part in parts if " " in part] or [part for part in parts if part]


def tidy(text: str, tongue: Tongue = ENGLISH_TONGUE) -> str:
    """A sentence without sounds, without words said twice in a row and without what was taken back.

    "on Tuesday, no wait, on Thursday" reads "on Thursday": what follows a correction replaces what it repeats the form
    of (its first word, or a number or a day for a number or a day), as speakers do (Levelt, 1983). Where no form is
    repeated, nothing is left out.
    """
    text = tongue.fillers.sub("", fold(text, MAX_SENTENCE * 2))
    text = _without_restarts(_without_stutter(text), tongue)
    for _ in range(3):  # nobody corrects one sentence more often
        found = tongue.corrections.search(text)
        if found is None:
            break
        text = _corrected(text[: found.start()], text[found.end() :], tongue)
    return text.strip(" ,;")


def _corrected(before: str, after: str, tongue: Tongue) -> str:
    first = after.split(" ", 1)[0].strip(",.;:").casefold()
    tokens = before.split(" ")
    bare = [token.strip(",.;:").casefold() for token in tokens]
    kind = _kind(first, tongue)
    for at in range(len(tokens) - 1, -1, -1):
        if bare[at] == first or (kind and kind == _kind(bare[at], tongue)):
            return " ".join([*tokens[:at], after]).strip()
    return f"{before}, {after}" if before and after else before or after


def _kind(word: str, tongue: Tongue) -> str:
    if word in tongue.weekdays or word in tongue.words:
        return "day"
    if word in tongue.months:
        return "month"
    return "number" if word.lstrip("$€£")[:1].isdigit() or (word in tongue.numbers and word not in ("a", "an")) else ""


def _without_stutter(text: str) -> str:
    """Up to three words said twice in a row stand once ("I can, I can take that"); figures may come twice."""
    kept: list[str] = []
    bare: list[str] = []
    for token in text.split(" "):
        kept.append(token)
        bare.append(token.strip(",.-…").casefold())
        for size in (1, 2, 3):
            again = bare[-size:]
            if len(bare) >= 2 * size and again == bare[-2 * size : -size] and not any(word.isdigit() for word in again):
                del kept[-2 * size : -size], bare[-2 * size : -size]
                break
    return " ".join(kept)


def _without_restarts(text: str, tongue: Tongue) -> str:
    """A beginning that is begun once more stands once ("who is like, who is packing"): up to four words, where only
    hedges stand before the second time. "I like apples, I like pears" says two things."""
    tokens = text.split(" ")
    bare = [token.strip(",.-…").casefold() for token in tokens]
    at = 1
    while at < len(tokens):
        first = _begun_before(bare, at, tongue) if tokens[at - 1].endswith((",", "…", "-")) else at
        if first < at:
            if tokens[first][:1].isupper():
                tokens[at] = tokens[at][:1].upper() + tokens[at][1:]
            del tokens[first:at], bare[first:at]
        at = first + 1
    return " ".join(tokens)


def _begun_before(bare: Sequence[str], at: int, tongue: Tongue) -> int:
    """Where the words that stand at ``at`` began already; ``at`` where they did not."""
    hedged = at
    while hedged > 0 and bare[hedged - 1] in tongue.hedges:
        hedged -= 1
    if hedged == at:
        return at
    for size in range(RESTARTED, 0, -1):
        for last in range(hedged, at):  # a word of the beginning may be a hedge itself
            again = bare[at : at + size]
            if last >= size and len(again) == size and bare[last - size : last] == again:
                return last - size
    return at


def _parts(text: str) -> Iterator[str]:
    """Between the marks that end a sentence; one after a title ("Dr. Weber"), a day's number ("am 5. Mai") or before a
    correction does not."""
    held = ""
    for part in filter(None, map(str.strip, _STOP.split(text))):
        if held and not _goes_on(held, part):
            yield held
            held = ""
        held = f"{held} {part}" if held else part
    if held:
        yield held


def _goes_on(held: str, part: str) -> bool:
    if len(held) + len(part) > MAX_SENTENCE:
        return False
    if _ABBREVIATED.search(held[-8:]) or (_CORRECTS.match(part) and not held.endswith("?")):
        return True
    if not _NUMBERED.search(held[-8:]):
        return False
    return part.split(" ", 1)[0].casefold().strip(".,!?") in by_code("de").months


def _needs_cutting(part: str) -> bool:
    count = part.count(" ") + 1
    return count > MAX_UNPUNCTUATED or (count > 2 * MIN_UNPUNCTUATED and not _ENDS.search(part))


def _unpunctuated(text: str) -> Iterator[str]:
    kept: list[str] = []
    for piece in _OPENERS.split(text):
        tokens = piece.split()
        if len(kept) >= MIN_UNPUNCTUATED and len(tokens) >= 2:
            yield " ".join(kept)
            kept = []
        for token in tokens:
            kept.append(token)
            if len(kept) > MAX_UNPUNCTUATED:
                yield " ".join(kept[:MAX_UNPUNCTUATED])
                kept = kept[MAX_UNPUNCTUATED:]
    if kept:
        yield " ".join(kept)


def _bounded(text: str) -> Iterator[str]:
    at = 0
    while len(text) - at > MAX_SENTENCE:
        blank = text.rfind(" ", at + 1, at + MAX_SENTENCE)
        end = blank if blank > 0 else at + MAX_SENTENCE
        yield text[at:end].strip()
        at = end
    rest = text[at:].strip()
    if rest:
        yield rest
