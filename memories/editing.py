"""What a person decides about a memory: stored apart from what the machine made, so that it wins over later runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from django.db import transaction

from memories.feedback import corrections
from memories.pipeline import service
from memories.pipeline.rules import changes
from memories.pipeline.rules import user_edits as overlay
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Memory, Visibility, event_key
from speakers import learning
from speakers.models import USER
from transcription.segments import Segment

log = structlog.get_logger(__name__)

TRAINING_WORDS = 5
"""A voice sample is taken only from a segment of more words than this (docs/reference/app-protocol.md)."""
MOST_TAUGHT = 20
"""Segments that one decision teaches from, the longest ones: each is a task of the workers, which cuts audio and embeds
it. A voice that has 20,000 segments is known after some of them."""


class NoSuchTranscript(Exception):
    """The memory has no transcript of this model."""


class EmptyTranscript(Exception):
    """The transcript has no words."""


class UnresolvedTargets(Exception):
    """Segments or a voice that the memory has not; ``missing`` lists them as they were given."""

    def __init__(self, missing: list[str | int]) -> None:
        super().__init__(f"{len(missing)} targets")
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Decision:
    """Who a segment is of: the user, a person, nobody known, or (``assigned=False``) no decision any more."""

    is_user: bool = False
    person_id: str | None = None
    assigned: bool = True


def set_texts(uid: str, memory_id: str, given: dict[str, str | None]) -> Memory:
    """Set title and/or overview in the user's words; None or blank withdraws them (the next run shows its own)."""

    before: list[Memory] = []

    def change(memory: Memory) -> dict[str, Any]:
        before[:] = [memory]
        texts = {name: (text or "").strip() for name, text in given.items()}
        edited = memory.edits.model_copy(update={name: text or None for name, text in texts.items()})
        shown = memory.structured.model_copy(update={name: text for name, text in texts.items() if text})
        return {"edits": edited, "structured": shown}

    changed = repository.mutate_memory(uid, memory_id, change)
    for name, text in given.items():
        if (text or "").strip():
            corrections.summary_changed(uid, before[0], name, getattr(before[0].structured, name), text)
    return changed


def set_template(uid: str, memory_id: str, template_id: str | None) -> Memory:
    """Which summary template later runs use: its id, ``none`` for no sections, None for that of the category."""

    def change(memory: Memory) -> dict[str, Any]:
        if memory.edits.template_id == template_id:
            return {}
        return {"edits": memory.edits.model_copy(update={"template_id": template_id})}

    return repository.mutate_memory(uid, memory_id, change)


def set_events_created(uid: str, memory_id: str, flags: dict[int, bool]) -> Memory:
    """Mark calendar events as created or not. Indexes that do not exist are ignored, as the app expects.

    The flag is kept under the event's title and start, so that a later run that finds the same event keeps it.
    """

    def change(memory: Memory) -> dict[str, Any]:
        listed = list(memory.structured.events)
        kept = dict(memory.edits.events_created)
        for index, created in flags.items():
            if 0 <= index < len(listed):
                listed[index] = listed[index].model_copy(update={"created": created})
                kept[event_key(listed[index].title, listed[index].start)] = created
        return {
            "structured": memory.structured.model_copy(update={"events": listed}),
            "edits": memory.edits.model_copy(update={"events_created": kept}),
        }

    return repository.mutate_memory(uid, memory_id, change)


def set_visibility(uid: str, memory_id: str, value: Visibility) -> Memory:
    """Set whether the memory is private, shared or public; raises MemoryNotFound."""
    return repository.mutate_memory(uid, memory_id, lambda memory: {"visibility": value})


def targets(memory: Memory, *, speaker: str | None, ids: Sequence[str], indexes: Sequence[int]) -> list[str]:
    """Ids of the segments that are meant, in the memory's order. Raises UnresolvedTargets for any that is not there."""
    segments = memory.transcript_segments
    by_id = {segment.id for segment in segments}
    missing: list[str | int] = [identity for identity in ids if identity not in by_id]
    missing += [index for index in indexes if not 0 <= index < len(segments)]
    wanted = set(ids) | {segments[index].id for index in indexes if 0 <= index < len(segments)}
    voice = {segment.id for segment in segments if speaker is not None and segment.speaker == speaker}
    if speaker is not None and not voice:
        missing.append(speaker)
    if missing or not wanted | voice:
        raise UnresolvedTargets(missing)
    return [segment.id for segment in segments if segment.id in wanted | voice]


def assign_segments(
    uid: str,
    memory_id: str,
    ids: Sequence[str],
    decision: Decision,
    *,
    speaker: str | None = None,
    spread: bool = False,
    learn: bool = False,
) -> Memory:
    """Say who spoke these segments, all or nothing. ``speaker``: they are that whole voice. ``spread``: the other
    segments of their voices follow, those that a person named excepted; what was decided is the chosen ones only.

    Raises UnresolvedTargets where a segment is gone by now: another transcript was put in its place.
    Kept with the moments and the transcript's model: in another transcript the same label is another voice. With
    ``learn`` a voice sample is taken in a worker from each long enough segment; else what they taught is forgotten.
    """
    chosen = set(ids)
    before: list[Memory] = []

    def change(memory: Memory) -> dict[str, Any]:
        before[:] = [memory]
        gone = chosen - {item.id for item in memory.transcript_segments}
        if gone:
            raise UnresolvedTargets(sorted(gone))
        segments = [_assigned(item, decision) if item.id in chosen else item for item in memory.transcript_segments]
        by_segment = dict(memory.edits.segments)
        for segment in segments:
            if segment.id in chosen:
                _record(by_segment, segment.id, segment, decision, memory)
        by_voice = dict(memory.edits.speakers)
        if speaker is not None:
            first = next(segment for segment in segments if segment.id in chosen)
            _record(by_voice, speaker, first, decision, memory)
        if spread:
            segments = _followed(segments, chosen, decision, memory)
        edited = memory.edits.model_copy(update={"segments": by_segment, "speakers": by_voice})
        return {"transcript_segments": segments, "edits": edited}

    changed = repository.mutate_memory(uid, memory_id, change)
    named = [segment for segment in changed.transcript_segments if segment.id in chosen]
    if spread or speaker is not None:
        for voice in sorted({segment.speaker for segment in named}):
            said = _said_of(changed, voice)
            if said is not None:
                learning.record_correction(uid, memory_id, voice, said)
            else:
                learning.withdraw_correction(uid, memory_id, voice)
    _schedule_learning(uid, memory_id, named, decision, learn=learn)
    if decision.assigned:
        corrections.speakers_changed(uid, before[0], ids, is_user=decision.is_user, person_id=decision.person_id)
    return changed


def _followed(segments: Sequence[Segment], chosen: set[str], decision: Decision, memory: Memory) -> list[Segment]:
    """The other segments of the chosen ones' voices with the same name. That a segment is nobody known, or no longer
    assigned, says nothing of the others, except of those that had followed it."""
    before = {item.id: (item.is_user, item.person_id) for item in memory.transcript_segments}
    voices = {item.speaker for item in segments if item.id in chosen} - _named_voices(memory)
    left = {before[identity] for identity in chosen if identity in memory.edits.segments} - {(False, None)}
    names = decision.assigned and (decision.is_user or decision.person_id is not None)
    return [
        _assigned(item, decision)
        if item.id not in chosen
        and item.id not in memory.edits.segments
        and item.speaker in voices
        and (names or before[item.id] in left)
        else item
        for item in segments
    ]


def _said_of(memory: Memory, voice: str) -> learning.Assignment | None:
    """What the user says of a whole voice, as a run understands it (``speakers.identify``): of the voice itself, or of
    its segments where all that were named agree. None: nothing, or nothing that holds for all of it."""
    label = memory.edits.speakers.get(voice) if voice in _named_voices(memory) else None
    if label is None:
        named = [
            memory.edits.segments[item.id]
            for item in memory.transcript_segments
            if item.speaker == voice and item.id in memory.edits.segments
        ]
        if len({(bool(item["is_user"]), item.get("person_id")) for item in named}) != 1:
            return None
        label = named[0]
        if not label["is_user"] and not label.get("person_id"):
            return None
    return learning.Assignment(is_user=bool(label["is_user"]), person_id=label.get("person_id"))


def _named_voices(memory: Memory) -> set[str]:
    """Labels that were named as a whole in the transcript that is shown: in another one they are other voices."""
    return {
        label
        for label, said in memory.edits.speakers.items()
        if overlay.of_shown(said, memory.active_transcript, memory.active_version)
    }


def _assigned(segment: Segment, decision: Decision) -> Segment:
    return segment.model_copy(update={"is_user": decision.is_user, "person_id": decision.person_id})


def _record(kept: dict[str, dict[str, Any]], key: str, segment: Segment, decision: Decision, memory: Memory) -> None:
    """Times and model are kept too, for people who look at it; runs find the moments in the stored transcripts."""
    if not decision.assigned:
        kept.pop(key, None)
        return
    kept[key] = {
        "is_user": decision.is_user,
        "person_id": decision.person_id,
        "start": segment.start,
        "end": segment.end,
        "speaker": segment.speaker,
        "transcript": memory.active_transcript,
        "version": memory.active_version,
    }


def _schedule_learning(
    uid: str, memory_id: str, segments: Sequence[Segment], decision: Decision, *, learn: bool
) -> None:
    from django_q.tasks import async_task

    named = decision.assigned and (decision.is_user or decision.person_id is not None)
    taken = {segment.id for segment in segments if learn and named and len(segment.text.split()) > TRAINING_WORDS}
    first = sorted(segments, key=lambda segment: (segment.id not in taken, segment.start - segment.end))
    for segment in first[:MOST_TAUGHT]:
        take = segment.id in taken
        arguments = (uid, memory_id, segment.id, decision.person_id if take else None, take)
        transaction.on_commit(partial(async_task, "memories.voice_learning.from_segment", *arguments))
    rest = {segment.id for segment in first[MOST_TAUGHT:]}
    for ids, keep in ((sorted(rest - taken), None), (sorted(rest & taken), decision.person_id or USER)):
        if ids:
            transaction.on_commit(
                partial(async_task, "memories.voice_learning.forget_segments", uid, memory_id, ids, keep)
            )


def activate_transcript(
    uid: str, memory_id: str, model: str, version: str | None = None, *, actor: str = "", reason: str = ""
) -> Memory:
    """Show a transcript of ``model`` and have the summary made again from it. Assignments of the user stay. ``actor``:
    who does it, where it is not the user.

    Without ``version`` the one that is shown or, where another model's is, the newest that no run rejected.
    """
    stored = transcripts.all_versions(uid, memory_id)
    found = [item for item in stored.get(model, ()) if version in (None, item.version)]
    if not found:
        raise NoSuchTranscript(model)
    chosen = transcripts.preferred(found)
    segments = sorted(chosen.segments, key=lambda item: (item.start, item.end))
    if not any(segment.text.strip() for segment in segments):
        raise EmptyTranscript(model)
    kept = {name: transcripts.preferred(versions) for name, versions in stored.items()}

    def change(memory: Memory) -> dict[str, Any]:
        versions = transcripts.named_segments(uid, memory_id, kept, memory.edits)
        known: dict[str | None, list[Segment]] = {memory.active_transcript: memory.heard()}
        labels = overlay.manual_labels(
            segments, memory.edits, model=model, version=chosen.version, known={**known, **versions}
        )
        shown, edited = changes.lay(overlay.apply(segments, labels), memory.edits)
        return {
            "active_transcript": model,
            "active_version": chosen.version,
            "transcript_segments": shown,
            "edits": edited,
        }

    changed = repository.mutate_memory(uid, memory_id, change)
    service.start(
        "reprocess",
        uid,
        memory_id,
        actor=actor or f"user:{uid}",
        reason=reason or f"transcript {model} activated",
        options={"force": True},
    )
    return changed


def speakers_of(memory: Memory, names: dict[str, str]) -> list[dict[str, Any]]:
    """Who speaks how much: one entry per voice and name, in order of first word. Seconds as floats."""
    voices: dict[tuple[str, bool, str | None], dict[str, Any]] = {}
    for segment in memory.transcript_segments:
        key = (segment.speaker, segment.is_user, segment.person_id)
        voice = voices.setdefault(
            key,
            {
                "speaker": segment.speaker,
                "speaker_id": segment.speaker_id,
                "is_user": segment.is_user,
                "person_id": segment.person_id,
                "name": names.get(segment.person_id) if segment.person_id else None,
                "seconds": 0.0,
                "segments": 0,
                "decided_by_user": False,
            },
        )
        voice["seconds"] = round(voice["seconds"] + segment.end - segment.start, 3)
        voice["segments"] += 1
        voice["decided_by_user"] = voice["decided_by_user"] or segment.id in memory.edits.segments
    return list(voices.values())
