"""What live transcription failed to hear, and only that: cut out of the journal's recording, transcribed, put back.

Times are seconds of the conversation unless named otherwise. Audio that was transcribed once is never paid for again.
"""

from __future__ import annotations

import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memories.pipeline.states import Kind
from transcription.audio.codecs import RATE
from transcription.ports import OFFLINE
from transcription.segments import Segment, Word, speaker_label
from transcription.session.account import AROUND_WORD
from transcription.spans import Span, intersect, lasting, length, merge, subtract

if TYPE_CHECKING:
    from memories.pipeline.engine.context import Context
    from memories.shapes import ProcessingMemory

CONTEXT = 1.0
"""Seconds of known audio that are sent on either side of a stretch: a recogniser cuts into the first word otherwise."""
PAUSE = 0.5
"""Seconds of silence between two pieces."""
EDGE = 0.2
"""Seconds by which a word may lie outside of its stretch: vendors differ about where a word lies."""
MOSTLY = 0.8
"""Share of a shown segment that must lie in a stretch to be what the new words replace."""


def accounting(found: ProcessingMemory) -> dict[str, dict[str, Any]]:
    """Return by session id what each live session counted: seconds heard and failed, by vendor. Empty where unknown."""
    return dict((found.model_extra or {}).get("accounting") or {})


def stretches(found: ProcessingMemory) -> list[Span]:
    """Return where live transcription failed, as spans in seconds of memory time. Sessions of older servers do not say
    where: then it is the whole session."""
    spans: list[Span] = []
    for session, counted in accounting(found).items():
        if float(counted.get("failed") or 0.0) <= 0.0:
            continue
        at = _offset(found, session)
        told = [(float(item["start"]), float(item["end"])) for item in counted.get("missing") or []]
        end = float(counted.get("received") or 0.0) or found.last_audio
        spans += [(at + start, at + stop) for start, stop in told or [(0.0, end)]]
    return lasting(merge([(max(0.0, start), end) for start, end in spans]))


def _offset(found: ProcessingMemory, session: str) -> float:
    index = found.session_ids.index(session) if session in found.session_ids else 0
    return found.timer_starts[index] - found.timer_start if index < len(found.timer_starts) else 0.0


def cut(wav: Path, wanted: Sequence[Span], dest: Path) -> list[dict[str, float]]:
    """Write the stretches of a 16 kHz mono WAV, each with its context and a pause between them. Returns where each
    lies: ``at`` in ``dest``, ``start`` and ``seconds`` in the recording."""
    pieces: list[dict[str, float]] = []
    with wave.open(str(wav)) as source, wave.open(str(dest), "wb") as out:
        out.setparams(source.getparams())
        total, at = source.getnframes() / RATE, 0.0
        for start, end in merge([(max(0.0, start - CONTEXT), min(total, end + CONTEXT)) for start, end in wanted]):
            if pieces:
                out.writeframesraw(b"\0" * (round(PAUSE * RATE) * 2))
                at += PAUSE
            source.setpos(round(start * RATE))
            left = round(end * RATE) - round(start * RATE)
            pieces.append({"at": round(at, 4), "start": round(start, 4), "seconds": round(left / RATE, 4)})
            at += left / RATE
            while left > 0 and (data := source.readframes(min(left, 60 * RATE))):
                out.writeframesraw(data)
                left -= len(data) // 2
    return pieces


def put_back(words: Sequence[Word], pieces: Sequence[Mapping[str, float]], wanted: Sequence[Span]) -> list[Word]:
    """Words of the pieces in the conversation's time; what lies in the context was heard before."""
    found = []
    for word in words:
        middle = (word.start + word.end) / 2
        piece = max((item for item in pieces if item["at"] <= middle), key=lambda item: item["at"], default=None)
        if piece is None or middle > piece["at"] + piece["seconds"]:
            continue
        shift = piece["start"] - piece["at"]
        if any(start - EDGE <= middle + shift <= end + EDGE for start, end in wanted):
            found.append(word.model_copy(update={"start": word.start + shift, "end": word.end + shift}))
    return found


def transcribed(ctx: Context) -> list[Segment]:
    """The transcript that the step ``transcribe`` made; of a capture, with what was heard live around it."""
    made = [Segment.model_validate(item) for item in ctx.artifact("transcribe", "segments")]
    if ctx.run.kind != Kind.CAPTURE:
        return made
    shown = [Segment.model_validate(item) for item in ctx.artifact("gather", "segments")]
    return together(shown, made, asked(ctx))


def asked(ctx: Context) -> list[Span]:
    """Return the spans (s of memory time) that ``gather`` wants transcribed; empty for the whole recording."""
    return [(float(start), float(end)) for start, end in ctx.output("gather").get("missing") or []]


def together(shown: Sequence[Segment], made: Sequence[Segment], wanted: Sequence[Span]) -> list[Segment]:
    """What was shown, and what was made of the stretches. Voices of the new words are counted after the shown ones."""
    kept = [item for item in shown if not made or _inside(item, wanted) < MOSTLY]
    first = max((item.speaker_id + 1 for item in kept), default=0)
    new = [item.model_copy(update={"speaker": speaker_label(first + item.speaker_id)}) for item in made]
    return sorted([*kept, *new], key=lambda item: (item.start, item.end))


def with_made(stored: Sequence[Segment], made: Sequence[Segment], wanted: Sequence[Span]) -> list[Segment]:
    """The conversation's segments with those that were made of the stretches, under the labels that they have now."""
    kept = [item for item in stored if not made or _inside(item, wanted) < MOSTLY]
    return sorted([*kept, *made], key=lambda item: (item.start, item.end))


def _inside(item: Segment, wanted: Sequence[Span]) -> float:
    return length(intersect([(item.start, item.end)], wanted)) / max(0.01, item.end - item.start)


def settled(
    found: ProcessingMemory, wanted: Sequence[Span], made: Sequence[Segment]
) -> tuple[dict[str, dict[str, Any]], float]:
    """The books once ``wanted`` was transcribed to ``made``: what failed there is words or silence now. And how many
    seconds that are."""
    spoken = merge([(item.start - AROUND_WORD, item.end + AROUND_WORD) for item in made])
    books, total = accounting(found), 0.0
    for session, counted in books.items():
        failed = float(counted.get("failed") or 0.0)
        if failed <= 0.0:
            continue
        at = _offset(found, session)
        told = [(at + float(item["start"]), at + float(item["end"])) for item in counted.get("missing") or []]
        own = merge(told or [(at, at + (float(counted.get("received") or 0.0) or found.last_audio))])
        left = subtract(own, merge(wanted))
        whole = failed if length(left) < 0.05 else 0.0
        seconds = min(failed, length(own) - length(left)) if told else whole
        words = min(seconds, length(intersect(intersect(own, merge(wanted)), spoken)))
        rest = failed - seconds if length(left) >= 0.05 else 0.0
        books[session] = {
            **counted,
            "transcribed": float(counted.get("transcribed") or 0.0) + words,
            "silence": float(counted.get("silence") or 0.0) + failed - rest - words,
            "failed": rest,
            "reasons": {why: value * rest / failed for why, value in (counted.get("reasons") or {}).items() if rest},
            "missing": [{"start": round(start - at, 3), "end": round(end - at, 3)} for start, end in left],
            "settled": float(counted.get("settled") or 0.0) + failed - rest,
        }
        total += failed - rest
    return books, total


def settled_of_live(before: ProcessingMemory, books: Mapping[str, Mapping[str, Any]]) -> float:
    """Return the seconds that ``books`` have settled since ``before``, of sessions that were live: what was captured
    offline was never counted as a failure."""
    return sum(
        float(books[session].get("settled") or 0.0) - float(counted.get("settled") or 0.0)
        for session, counted in accounting(before).items()
        if session in books and OFFLINE not in (counted.get("reasons") or {})
    )
