"""A person's corrections become labelled cases: what the machine said, what the person set, which versions made it.

Whoever changes a memory on a person's behalf calls one of these afterwards. Nothing here raises: a case that cannot be
kept is no reason to refuse the correction. Where the user neither permits cases nor learning, nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from memories.experiments.assigning import observe
from memories.feedback import identities, reports
from memories.feedback.models import Part
from memories.shapes import Memory
from omi.accounts.users import get_user
from speakers import people
from transcription.segments import Segment

log = structlog.get_logger(__name__)

MOST_AT_ONCE: Final = 20
"""Cases that one change makes: a voice of 2,000 segments is one mistake, not 2,000."""


def text_changed(uid: str, before: Memory, segment: Segment, text: str) -> None:
    """A person wrote ``text`` where the machine had heard ``segment.text``."""

    def keep(shared: bool, clean: Callable[[str], str]) -> None:
        if segment.text.strip() == text.strip():
            return
        context = {"start": segment.start, "end": segment.end, "transcript": before.active_transcript}
        reports.keep_case(
            uid, before, Part.TRANSCRIPT, segment_id=segment.id, machine={"text": segment.text}, person={"text": text},
            context=context | ({"shared_text": clean(text)} if shared else {}), shared=shared,
        )  # fmt: skip

    _kept(uid, before.id, keep)


def speakers_changed(uid: str, before: Memory, ids: Sequence[str], *, is_user: bool, person_id: str | None) -> None:
    """A person said who spoke these segments. What was right already is no case."""

    def keep(shared: bool, clean: Callable[[str], str]) -> None:
        said = {"is_user": is_user, "person_id": person_id}
        chosen = set(ids)
        wrong = [
            item
            for item in before.transcript_segments
            if item.id in chosen and {"is_user": item.is_user, "person_id": item.person_id} != said
        ]
        for item in sorted(wrong, key=lambda item: item.start - item.end)[:MOST_AT_ONCE]:
            machine = {"is_user": item.is_user, "person_id": item.person_id}
            context = {"start": item.start, "end": item.end, "voice": item.speaker}
            reports.keep_case(
                uid, before, Part.SPEAKERS, segment_id=item.id, machine=machine, person=said, context=context,
                shared=shared,
            )  # fmt: skip

    _kept(uid, before.id, keep)


def summary_changed(uid: str, before: Memory, field: str, machine: Any, person: Any) -> None:
    """A person set ``field`` of the summary (``title``, ``overview``, ``category``, ``discarded``)."""

    def keep(shared: bool, clean: Callable[[str], str]) -> None:
        if machine != person:
            turns = [
                {"speaker": item.speaker, "start": item.start, "end": item.end, "text": clean(item.text)}
                for item in before.transcript_segments[:500]
                if shared and item.text.strip()
            ]
            reports.keep_case(
                uid, before, Part.SUMMARY, cause=field, machine={field: machine}, person={field: person},
                context={"turns": turns} if turns else {}, shared=shared,
            )  # fmt: skip

    _kept(uid, before.id, keep)


def _kept(uid: str, memory_id: str, keep: Callable[[bool, Callable[[str], str]], None]) -> None:
    try:
        observe(uid, memory_id, {"corrected": 1.0})
        allowed = get_user(uid).improvement
        if not (allowed.cases or allowed.learning):
            return
        names = [name for name in people.names(uid).values() if name] if allowed.cases else []
        keep(allowed.cases, lambda text: identities.without(text, names))
    except Exception as error:  # whatever store is out of reach; the correction itself is stored
        log.warning("case_not_kept", uid=uid, error=type(error).__name__)
