"""What is known of a memory before support does something to it: read once, for the page and for every action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings

from memories.pipeline import queries
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import Kind, State
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.repository.transcripts import TranscriptVersion
from memories.shapes import Memory
from omi.core.errors import ProviderError
from omi.stores import audio
from omi.stores.documents.base import DocumentError
from omi.stores.models import AudioObject

RUNS: Final = 50
"""Newest runs that are looked at; older ones are in the list of runs."""
PLAYABLE: Final = (AudioObject.Purpose.RECORDING, AudioObject.Purpose.UPLOAD, AudioObject.Purpose.JOURNAL)
"""What is a recording of the whole conversation, best first."""


class Impossible(Exception):
    """The action cannot be done; the text says why, in a sentence for staff."""


@dataclass(frozen=True)
class Situation:
    """What support sees of a memory before it acts. ``memory`` is None where it is gone or cannot be read; ``problem``
    says why. ``runs``: newest first."""

    uid: str
    memory_id: str
    memory: Memory | None
    problem: str
    runs: list[PostProcessingRun]
    recordings: list[AudioObject]
    versions: Mapping[str, list[TranscriptVersion]] = field(default_factory=dict)

    @property
    def unfinished(self) -> list[PostProcessingRun]:
        return [run for run in self.runs if run.state != State.FINISHED]

    @property
    def ended(self) -> list[PostProcessingRun]:
        return [run for run in self.runs if run.state == State.FINISHED]

    @property
    def active(self) -> PostProcessingRun | None:
        """The run that is at work or next, else the newest."""
        return next((run for run in self.unfinished if not run.blocked), None) or (self.runs[0] if self.runs else None)

    @property
    def alive(self) -> bool:
        return self.memory is not None and not self.memory.deleted

    @property
    def playable(self) -> list[AudioObject]:
        """Recordings of the conversation, best and newest first."""
        found = [item for item in self.recordings[::-1] if item.purpose in PLAYABLE]
        return sorted(found, key=lambda item: PLAYABLE.index(AudioObject.Purpose(item.purpose)))

    @property
    def transcribed(self) -> PostProcessingRun | None:
        """The newest ended run that had a recording."""
        return next((run for run in self.ended if run.kind == Kind.POSTPROCESS), None)

    @property
    def seen(self) -> str:
        """Return a text that changes with everything that an action's page shows."""
        runs = ",".join(f"{run.pk}{run.state[0]}" for run in self.runs[:5])
        kept = ",".join(item.name[:8] for item in self.recordings)
        return f"{self.memory.revision if self.memory else '-'}/{runs}/{kept}"

    @property
    def restorable_until(self) -> datetime | None:
        """Until when the memory can be restored; None where it was not deleted, or deletion is for good."""
        if self.memory is None or not self.memory.deleted or self.memory.deleted_at is None:
            return None
        return self.memory.deleted_at + timedelta(days=settings.OMI_RESTORE_DAYS)


def of(uid: str, memory_id: str, *, versions: bool = True) -> Situation:
    """Read what is known of a memory; a store that is down is a ``problem`` and hides no runs."""
    memory, problem = _document(uid, memory_id)
    stored: Mapping[str, list[TranscriptVersion]] = {}
    if versions and memory is not None:
        try:
            stored = transcripts.all_versions(uid, memory_id, memory=memory)
        except (ProviderError, DocumentError) as error:
            problem = f"The transcripts cannot be read: {error}"
    runs = list(queries.runs_of(uid, memory_id)[:RUNS])
    return Situation(uid, memory_id, memory, problem, runs, audio.for_memory(uid, memory_id), stored)


def alive(uid: str, memory_id: str) -> Memory:
    """The memory. Raises Impossible where it is gone or deleted."""
    try:
        return repository.get_memory(uid, memory_id)
    except repository.MemoryNotFound as error:
        raise Impossible("The memory is gone.") from error


def now() -> datetime:
    """Return the time (UTC) by this machine's clock."""
    return datetime.now(UTC)


def _document(uid: str, memory_id: str) -> tuple[Memory | None, str]:
    try:
        memory = repository.find_memory(uid, memory_id)
    except (ProviderError, DocumentError) as error:
        return None, f"The document cannot be read: {error}"
    return memory, "" if memory is not None else "There is no document any more; only this row is left."
