"""Teaching the voice gallery from a segment that a user assigned. Runs in a worker: it cuts audio and embeds it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import structlog

from memories.repository import memories as repository
from omi.core import workspace
from omi.stores import audio
from speakers import gallery, learning
from speakers.models import VoiceSample
from speakers.people import PersonNotFound
from transcription.segments import Segment

log = structlog.get_logger(__name__)


def from_segment(uid: str, memory_id: str, segment_id: str, person_id: str | None, take: bool) -> str:
    """Learn the segment's voice as ``person_id`` (None: the user), or forget what it taught where ``take`` is false.

    Returns a code for the log: ``learned``, ``known``, ``candidate``, ``forgotten``, ``no_recording``, ``gone`` or why
    a sample was refused. A recording is only there with the user's permission; without one nothing is learned, and the
    assignment stands.
    """
    code = _from_segment(uid, memory_id, segment_id, person_id, take)
    log.info("voice_learning", uid=uid, memory_id=memory_id, segment_id=segment_id, code=code)
    return code


def _from_segment(uid: str, memory_id: str, segment_id: str, person_id: str | None, take: bool) -> str:
    if not take:
        learning.unlearn_segment(uid, memory_id, segment_id)
        _unlearn_moments(uid, memory_id, segment_id)
        return "forgotten"
    try:
        memory = repository.get_memory(uid, memory_id)
    except repository.MemoryNotFound:
        return "gone"
    found = [(index, item) for index, item in enumerate(memory.transcript_segments) if item.id == segment_id]
    recordings = audio.for_memory(uid, memory_id, "recording")
    if not found or not recordings:
        return "no_recording" if found else "gone"
    index, segment = found[0]
    if (segment.is_user, segment.person_id) != (person_id is None, person_id):
        return "gone"  # assigned anew in the meantime: that one's task decides
    with workspace.temporary("learn-") as folder:
        wav = audio.local_copy(recordings[-1], Path(folder))
        try:
            learned = learning.learn_from_segment(
                uid,
                person_id,
                wav,
                segment.start,
                segment.end,
                len(segment.text.split()),
                memory_id=memory_id,
                segment_id=segment_id,
                segment_index=index,
                fence=partial(_require_alive, uid, memory_id),
            )
        except (repository.MemoryNotFound, PersonNotFound):  # erased while the voice was measured
            return "gone"
    return learned.code


def _require_alive(uid: str, memory_id: str) -> None:
    """Raises MemoryNotFound."""
    found = repository.glance(uid, memory_id)
    if found is None or found.deleted:
        raise repository.MemoryNotFound("Memory not found")


def forget_segments(uid: str, memory_id: str, ids: Sequence[str], keep: str | None) -> int:
    """What these segments taught is forgotten, of everybody but ``keep`` (a person's id or ``USER``); without ``keep``
    also what was cut from the same moments in another transcript. The number of samples removed."""
    samples = VoiceSample.objects.filter(uid=uid, memory_id=memory_id, source=VoiceSample.Source.SEGMENT)
    samples = samples.exclude(status=VoiceSample.Status.REMOVED)
    left = list(samples if keep is None else samples.exclude(person_id=keep))
    if not left:
        return 0
    doomed = set(ids)
    moments: list[Segment] = []
    if keep is None:
        with contextlib.suppress(repository.MemoryNotFound):
            memory = repository.get_memory(uid, memory_id)
            moments = [segment for segment in memory.transcript_segments if segment.id in doomed]
    wrong = [item for item in left if item.segment_id in doomed or any(_most_of(item, other) for other in moments)]
    for sample in wrong:
        gallery.remove_sample(sample, reason="the segment was assigned to somebody else")
    return len(wrong)


def _most_of(sample: VoiceSample, segment: Segment) -> bool:
    """Whether the sample was cut from the segment's moments, for the most part."""
    if sample.start is None or sample.end is None:
        return False
    start, end = float(sample.start), float(sample.end)
    return min(end, segment.end) - max(start, segment.start) > (end - start) / 2


def _unlearn_moments(uid: str, memory_id: str, segment_id: str) -> None:
    """A sample was cut from moments, and another transcript gives them other ids: what most of a sample was cut from is
    what it came from, whatever the segment was called then."""
    try:
        memory = repository.get_memory(uid, memory_id)
    except repository.MemoryNotFound:
        return
    segment = next((item for item in memory.transcript_segments if item.id == segment_id), None)
    if segment is None:
        return
    samples = VoiceSample.objects.filter(uid=uid, memory_id=memory_id, source=VoiceSample.Source.SEGMENT)
    for sample in samples.exclude(status=VoiceSample.Status.REMOVED):
        if _most_of(sample, segment):
            gallery.remove_sample(sample, reason="the moments it was cut from were un-named")
