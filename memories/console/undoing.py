"""Undoing what a replay did: each memory shows the transcript that it showed before, where it shows another one now."""

from __future__ import annotations

from typing import Final

import structlog
from django.db.models import Count, Q

from memories import editing
from memories.console.models import Replay, ReplayItem
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories as repository
from omi.core.errors import ProviderError
from omi.stores.documents.base import DocumentError

log = structlog.get_logger(__name__)

AGAIN: Final = "shows"
AS_IT_IS: Final = "left as it is"
"""How the note of an undone item begins; any other one says why it could not be undone."""


def told(replay: Replay) -> str:
    """What undoing did, in a sentence; so far, where it has not ended. "" where nothing was undone."""
    undone = replay.items.filter(state=ReplayItem.State.UNDONE).order_by()
    counts = undone.aggregate(
        all=Count("pk"),
        again=Count("pk", filter=Q(note__startswith=AGAIN)),
        same=Count("pk", filter=Q(note__startswith=AS_IT_IS)),
    )
    if not counts["all"]:
        return ""
    parts = [f"{counts['again']} of {counts['all']} memories show their earlier transcript again"]
    if counts["same"]:
        parts.append(f"{counts['same']} were left as they are, because the replay had not changed their transcript")
    if failed := counts["all"] - counts["again"] - counts["same"]:
        parts.append(f"{failed} could not be undone: their notes say why")
    return f"{'; '.join(parts)}."


def shown(run: PostProcessingRun) -> tuple[str, str, str]:
    """Model and version of the transcript that the memory shows now, and why the run cannot be done anew ("")."""
    try:
        memory = repository.find_memory(run.uid, run.memory_id)
    except (ProviderError, DocumentError) as error:
        return "", "", f"its document cannot be read: {error}"[:200]
    if memory is None:
        # A conversation that never became a memory has none to show; its run makes it.
        return "", "", "" if run.kind == "capture" else "the memory is gone"
    return (memory.active_transcript or "")[:64], (memory.active_version or "")[:80], ""


def one(item: ReplayItem) -> str:
    """Activate the earlier version; what was done, in a few words. Doing it twice changes nothing more."""
    run = item.run
    model, version, problem = shown(run)
    if problem or not model:
        return problem or "there is no memory any more"
    if not item.before_model:
        return f"{AS_IT_IS}: there was no transcript before"
    if (model, version) == (item.before_model, item.before_version):
        return f"{AS_IT_IS}: the same transcript is shown as before"
    try:
        editing.activate_transcript(
            run.uid, run.memory_id, item.before_model, item.before_version or None,
            actor=f"replay:{item.replay_id}", reason="the replay was undone",
        )  # fmt: skip
    except (editing.NoSuchTranscript, editing.EmptyTranscript, repository.MemoryNotFound) as error:
        return f"not undone: {type(error).__name__}"
    except (ProviderError, DocumentError) as error:
        log.warning("replay_undo_failed", item=item.pk, error=type(error).__name__)
        return f"not undone: {error}"
    return f"{AGAIN} {item.before_model} again"
