"""One label for one voice in a conversation that was heard on several connections."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from memories.ids import own_segment_ids
from memories.pipeline import missing_audio
from memories.pipeline.rules import voice_matching
from memories.repository import transcripts
from omi.core.errors import ProviderError, StoreError
from speakers import turns
from speakers.clips import BadRecording
from transcription.hosts import handover
from transcription.segments import speaker_label, speaker_number

SAME = 0.5
"""Share of a voice's moments that must bear one label in the other transcript."""
EVIDENCE = 3.0
"""Seconds of a voice that both transcripts must have, or half of all that it says: one "yeah" names nobody."""

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memories.pipeline.engine.context import Context
    from memories.shapes import ProcessingMemory
    from transcription.segments import Segment


def one_label_a_voice(ctx: Context, found: ProcessingMemory, segments: Sequence[Segment]) -> list[Segment]:
    """Live ``segments`` with the labels of all connections joined where they are one voice.

    Every connection counts its speakers anew. Who is who is told by a vendor that heard a session on one connection,
    then by the voices in the journal's audio. Where the audio is gone, or the voice engine fails, the other labels stay
    apart: nothing is guessed. Nobody is named here: that is decided afterwards, on the joined voices.
    """
    starts = [moment - found.timer_start for moment in found.timer_starts]
    owner = turns.connections(segments, starts)
    if len({number for number, _ in owner}) < 2:
        return list(segments)
    known: dict[turns.Key, tuple[str, str]] = {}
    for session in found.session_ids:
        told = voice_matching.voices(segments, owner, _unbroken(ctx, found, session))
        known |= {key: (session, label) for key, label in told.items()}
    try:
        path = journal_wav(ctx, found)
        if path is not None:
            return turns.repair_labels(segments, path, starts=starts, known=known)
    except StoreError:
        raise
    except (ProviderError, BadRecording) as error:
        ctx.log.warning("labels_not_joined", error=type(error).__name__, reason=str(error))
    return turns.relabelled(segments, owner, known)


def joined_with_shown(
    ctx: Context, found: ProcessingMemory, segments: Sequence[Segment], shown: Sequence[Segment], wav: Path
) -> list[Segment]:
    """Return ``segments`` with the labels of ``shown`` for what was transcribed beside it afterwards, where it is one
    of those voices.

    Whoever transcribes what failed live counts its speakers anew, too: a user's own last sentence was nobody's. Where
    the voice engine fails the new labels stay apart.
    """
    starts = [moment - found.timer_start for moment in found.timer_starts]
    ids = {item.id for item in shown}
    owner = turns.connections(segments, starts)
    known = {key: key[1] for item, key in zip(segments, owner, strict=True) if item.id in ids}
    if len(known) == len(set(owner)):
        return list(segments)
    try:
        return turns.repair_labels(segments, wav, starts=starts, known=known)
    except StoreError:
        raise
    except (ProviderError, BadRecording) as error:
        ctx.log.warning("labels_not_joined", error=type(error).__name__, reason=str(error))
        return list(segments)


def _unbroken(ctx: Context, found: ProcessingMemory, session: str) -> list[Segment]:
    """What a vendor heard of a session on one connection, which tells speakers apart; the one that heard most."""
    counted = missing_audio.accounting(found).get(session) or {}
    able = [
        (float(facts.get("seconds") or 0.0), name)
        for name, facts in (counted.get("vendors") or {}).items()
        if facts.get("connections") == 1 and not facts.get("failures")
    ]
    for _, name in sorted(able, reverse=True):
        model = f"{name}_streaming"
        heard = transcripts.newest_live(ctx.uid, ctx.memory_id, model)
        own = own_segment_ids(session, model, len(heard))
        if len({item.speaker for item in heard if item.id in own}) > 1:
            return [item for item in heard if item.id in own]
    return []


def journal_wav(ctx: Context, found: ProcessingMemory) -> Path | None:
    """The journal's audio of the whole conversation, in the run's private folder. None where it is gone."""
    path = ctx.folder / "journal.wav"
    return path if path.exists() else handover.recording_for(ctx.uid, found, path)


def continued(
    shown: Sequence[Segment], live: Sequence[Segment], later: Sequence[Segment], *, taken: Iterable[str] = ()
) -> list[Segment]:
    """Return ``later`` (what was said since, a part of ``live``) with labels that can stand behind ``shown``.

    Both transcripts number their voices from 0, each in its own order. Where they cover the same moments it is heard
    which live voice is which shown one: at least half of those moments must agree, and they must be enough
    (``EVIDENCE``). A voice that was not heard there gets a number that neither ``shown`` nor ``taken`` (labels that a
    person's edits name) has.
    """
    names = {voice: label for voice in {item.speaker for item in live} if (label := _alike(voice, live, shown))}
    highest = max((speaker_number(label) for label in [*(item.speaker for item in shown), *taken]), default=-1)
    for item in later:
        if item.speaker not in names:
            highest += 1
            names[item.speaker] = speaker_label(highest)
    return [item.model_copy(update={"speaker": names[item.speaker]}) for item in later]


def _alike(voice: str, live: Sequence[Segment], shown: Sequence[Segment]) -> str | None:
    """The label under which ``shown`` has most of the moments of ``voice`` that it covers."""
    shared: dict[str, float] = defaultdict(float)
    for own in live:
        if own.speaker != voice:
            continue
        for item in shown:
            seconds = min(own.end, item.end) - max(own.start, item.start)
            if seconds > 0:
                shared[item.speaker] += seconds
    best = max(shared, key=lambda label: shared[label], default=None)
    covered, spoken = sum(shared.values()), sum(own.end - own.start for own in live if own.speaker == voice)
    if best is None or covered < min(EVIDENCE, SAME * spoken):
        return None
    return best if shared[best] >= SAME * covered else None
