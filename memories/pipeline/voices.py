"""One label for one voice in a conversation that was heard on several connections (omi-protocol 4.3 no. 18)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omi.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memories.pipeline.context import Context
    from memories.shapes import ProcessingMemory
    from transcription.segments import Segment


def one_label_a_voice(ctx: Context, found: ProcessingMemory, segments: Sequence[Segment]) -> list[Segment]:
    """Live ``segments`` with the labels of all connections joined where they are one voice.

    Every connection counts its speakers anew; who is who is heard in the journal's audio. Where that is gone, or the
    voice engine fails, labels stay apart: nothing is guessed.
    """
    from speakers.clips import BadRecording
    from speakers.turns import connections, repair_labels

    starts = [moment - found.timer_start for moment in found.timer_starts]
    if len({number for number, _ in connections(segments, starts)}) < 2:
        return list(segments)
    try:
        path = journal_wav(ctx, found)
        return repair_labels(segments, path, starts=starts) if path is not None else list(segments)
    except (ProviderError, BadRecording) as error:
        ctx.log.warning("labels_not_joined", error=type(error).__name__, reason=str(error))
        return list(segments)


def journal_wav(ctx: Context, found: ProcessingMemory) -> Path | None:
    """The journal's audio of the whole conversation, in the run's private folder. None where it is gone."""
    from transcription.recording import recording_for

    path = ctx.folder / "journal.wav"
    return path if path.exists() else recording_for(ctx.uid, found, path)
