"""Shown words to shown segments, append-only: an id once given never changes its place or its words.

The same rules as ``segments_from_words`` (one voice, gap, greatest length), but incremental: a batch of words costs
what the batch costs, however long the session is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from transcription.ports import VoiceLabel
from transcription.segments import (
    MAX_SEGMENT_SECONDS,
    SAME_SPEAKER_GAP,
    Segment,
    Word,
    clean_text,
    joined,
    segment_id,
    speaker_label,
)
from transcription.session.pieces import Pieces


@dataclass(frozen=True, slots=True)
class Delta:
    """What one batch added to one segment: ``text`` is new, ``segment`` is the whole as it now stands."""

    segment: Segment
    text: str
    start: float
    end: float
    part: int  # 0 for the words that began the segment

    def as_message(self) -> dict[str, object]:
        """The element of the September 2024 protocol: new words only, under an id of their own."""
        data = self.segment.model_dump()
        data["text"], data["start"], data["end"] = self.text, self.start, self.end
        data["segment_id"] = self.segment.id
        if self.part:
            data["id"] = segment_id(self.segment.id, self.part)
        return data


@dataclass(slots=True)
class SegmentBuilder:
    """Times are session seconds. ``scope`` makes the ids: two sessions never give the same one.

    ``assigned``: what a person decided, by segment id. ``pieces``: what of the segments has to be stored.
    """

    scope: str
    max_gap: float = SAME_SPEAKER_GAP
    first_label: int = 0
    segments: list[Segment] = field(default_factory=list)
    _parts: dict[str, int] = field(default_factory=dict)
    _labels: dict[str, str] = field(default_factory=dict)
    _voices: dict[str, VoiceLabel] = field(default_factory=dict)
    assigned: dict[str, VoiceLabel] = field(default_factory=dict)
    pieces: Pieces = field(default_factory=Pieces)
    _last_label: str | None = None
    _wholes: dict[str, str] = field(default_factory=dict)
    _indexed: int = 0  # segments whose parts are in _wholes, the last one as far as it went
    _last_indexed: str = ""
    _indexed_parts: int = 1

    def add(self, words: Sequence[Word], provider: str, *, max_gap: float | None = None) -> list[Delta]:
        """Append words (already final, later than all before). Returns what changed, in order."""
        deltas: list[Delta] = []
        for word in words:
            if not word.text.strip():
                continue
            label = self._label(word.speaker)
            last = self.segments[-1] if self.segments else None
            if last is not None and self._joins(last, word, label, provider, max_gap or self.max_gap):
                self._extend(last, word, deltas)
            else:
                self._begin(word, label, provider, deltas)
        self.pieces.changed(delta.segment for delta in deltas)
        return deltas

    def _joins(self, last: Segment, word: Word, label: str, provider: str, max_gap: float) -> bool:
        return (
            last.speaker == label
            and last.stt_provider == provider
            and -0.5 < word.start - last.end < max_gap  # a final that came late is a segment of its own
            and word.end - last.start <= MAX_SEGMENT_SECONDS
        )

    def _begin(self, word: Word, label: str, provider: str, deltas: list[Delta]) -> None:
        start = round(max(0.0, word.start), 3)
        segment = Segment(
            id=segment_id(self.scope, len(self.segments)),
            text=clean_text(word.text),
            speaker=label,
            start=start,
            end=round(max(word.end, start + 0.01), 3),
            stt_provider=provider,
        )
        known = self._voices.get(label)
        if known is not None:
            segment.is_user, segment.person_id = known.is_user, known.person_id
        self.segments.append(segment)
        self._parts[segment.id] = 1
        deltas.append(Delta(segment, segment.text, segment.start, segment.end, 0))

    def _extend(self, last: Segment, word: Word, deltas: list[Delta]) -> None:
        last.text = joined(last.text, word.text)
        last.end = round(max(last.end, word.end), 3)
        if deltas and deltas[-1].segment is last:
            previous = deltas[-1]
            deltas[-1] = Delta(last, joined(previous.text, word.text), previous.start, last.end, previous.part)
            return
        part = self._parts[last.id]
        self._parts[last.id] = part + 1
        deltas.append(Delta(last, clean_text(word.text), round(max(0.0, word.start), 3), last.end, part))

    def _label(self, vendor_label: str | None) -> str:
        """A vendor's label belongs to one connection: the next one gets new numbers, never assumed the same voice.

        A word that the vendor left unlabelled is the last speaker's.
        """
        if vendor_label is None:
            if self._last_label is None:
                self._last_label = self._labels.setdefault("", self._next_label())
            return self._last_label
        label = self._labels.setdefault(vendor_label, self._next_label())
        self._last_label = label
        return label

    def _next_label(self) -> str:
        return speaker_label(self.first_label + len(self._labels))

    def renumber(self, first: int) -> tuple[dict[str, str], list[Segment]]:
        """Count speakers from ``first`` on: those before belong to an earlier session of the conversation, and nobody
        knows yet whose they are. Returns old labels to new ones, and the segments that changed."""
        moved = {label: speaker_label(first + index) for index, label in enumerate(self._labels.values())}
        if first == self.first_label:
            return {}, []
        self.first_label = first
        self._labels = {vendor: moved[label] for vendor, label in self._labels.items()}
        self._voices = {moved[label]: voice for label, voice in self._voices.items()}
        self._last_label = moved[self._last_label] if self._last_label is not None else None
        for item in self.segments:
            item.speaker = moved[item.speaker]
        self.pieces.changed(self.segments)
        return moved, list(self.segments)

    def name_voice(self, label: str, voice: VoiceLabel) -> list[Segment]:
        """A live speaker was recognised (or un-recognised). Returns the segments that changed."""
        self._voices[label] = voice
        return self._set(
            [item for item in self.segments if item.speaker == label and item.id not in self.assigned], voice
        )

    def retext(self, agreed: Sequence[Segment]) -> list[Segment]:
        """Segments say what was agreed on; one that nobody has shown yet takes its place. Returns what changed."""
        own = {item.id: item for item in self.segments}
        changed: list[Segment] = []
        for item in agreed:
            shown = own.get(item.id)
            if shown is None:
                shown = item.model_copy()
                self.segments.append(shown)
                self._parts[shown.id] = 1
                changed.append(shown)
            elif shown.text != item.text:
                shown.text = item.text
                changed.append(shown)
        self.pieces.changed(changed)
        return changed

    def cut(self, at: float, words: Sequence[Word]) -> None:
        """Begin segments anew at a moment: of one that reaches across it, the words since make another one."""
        last = self.segments[-1] if self.segments else None
        if last is None or not last.start < at < last.end:
            return
        later = [word for word in words if word.start >= at and word.text.strip()]
        if not later:
            return
        rest = last.model_copy(
            update={
                "id": segment_id(self.scope, len(self.segments)),
                "text": clean_text(" ".join(word.text for word in later)),
                "start": round(later[0].start, 3),
            }
        )
        self.segments.append(rest)
        self._parts[rest.id] = 1
        self.pieces.changed([rest])

    def assign(self, segment_ids: Sequence[str], voice: VoiceLabel) -> list[Segment]:
        """A person said who spoke: that wins over what was heard, for these segments."""
        self._index_parts()
        wanted = {self._wholes.get(identity, identity) for identity in segment_ids}
        chosen = [item for item in self.segments if item.id in wanted]
        self.assigned.update({item.id: voice for item in chosen})
        self.pieces.changed(chosen)  # the decision is stored with its segment, also where the segment stays as it is
        return self._set(chosen, voice)

    def _index_parts(self) -> None:
        """A delta's id stands for the segment that it extended. Each id is computed once, whatever is asked for: an
        hour has ten thousand, and the event loop waits."""
        for item in self.segments[max(0, self._indexed - 1) :]:
            for part in range(self._indexed_parts if item.id == self._last_indexed else 1, self._parts[item.id]):
                self._wholes[segment_id(item.id, part)] = item.id
            self._last_indexed, self._indexed_parts = item.id, self._parts[item.id]
        self._indexed = len(self.segments)

    def _set(self, segments: Sequence[Segment], voice: VoiceLabel) -> list[Segment]:
        changed = [item for item in segments if (item.is_user, item.person_id) != (voice.is_user, voice.person_id)]
        for item in changed:
            item.is_user, item.person_id = voice.is_user, voice.person_id
        self.pieces.changed(changed)
        return changed
