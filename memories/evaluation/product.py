"""The product is driven here as a phone drives it: voices are enrolled, a recording is taken for post-processing, the
pipeline's runner works on it until it ends, and the memory that came of it is read.

Nothing of the pipeline is repeated in this module, so what is measured is what users get. It writes into the stores of
its process: ``isolation`` sees to it that those are not a deployment's.
"""

from __future__ import annotations

import hashlib
import time
import uuid
import wave
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from memories import postprocessing
from memories.capture import create
from memories.evaluation.dataset import Item
from memories.evaluation.heard import UNKNOWN, HeardWord, MadeMemory
from memories.pipeline import queries, runner
from memories.pipeline.engine import content_hash
from memories.pipeline.models import PostProcessingRun, RunStep, StepArtifact
from memories.posted_memory import CreateMemory, GivenSegment
from memories.repository import memories as repository
from memories.search import query
from memories.shapes import Memory
from omi.accounts.users import update_user
from omi.core.errors import ProviderError
from speakers import enrolment, people
from speakers.quality import RejectedAudio
from transcription.audio.convert import AudioError, decode_to_wav
from transcription.audio.wav import wav_bytes
from transcription.segments import Segment, end_of, is_speaker_label, segment_id, speaker_label

RATE: Final = 16_000
LEAST_PATIENCE: Final = 600.0
"""Seconds that an item may take at the least; a long one, ten times its length."""
LONGEST_NAP: Final = 5.0
SEARCHER: Final = "evaluation-search"
"""The user who has all of the dataset's memories, to search among them."""
PEOPLES_NAMES: Final = 2
NUDGE: Final = 0.03
"""Share by which a nudged recording is louder or softer, and its noise in steps of the samples: nobody hears it."""


class NoEnd(Exception):
    """The run of an item did not end in time."""


def heard_of(item: Item, folder: Path, *, nudge: int = 0) -> MadeMemory:
    """The memory that the product makes of ``item``. ``folder`` is for files; ``nudge`` other than 0 changes the audio
    by something that nobody hears (another number, another change), to see how much of a figure is chance.

    What fails is told in ``MadeMemory.failure``; nothing of the item is raised.
    """
    try:
        return _of_audio(item, folder, nudge) if item.audio is not None else _of_text(item)
    except (AudioError, RejectedAudio, ProviderError, NoEnd, people.InvalidName) as error:
        return MadeMemory(failure=f"{type(error).__name__}: {error}")


def memorise(item: Item, heard: MadeMemory) -> str:
    """A memory of what was heard among those of the searcher, who has those of the texts already. Its id."""
    if item.audio is None:
        return heard.memory_id
    segments = [
        GivenSegment(text=it.text, speaker=it.voice, start=it.start, end=max(it.start, it.end))
        for it in heard.stretches
    ]
    return _created(item, segments).memory_id


def found_for(question: str, limit: int) -> list[str]:
    """Ids of the searcher's memories, the best first."""
    return [hit.memory.id for hit in query.search(SEARCHER, question, limit)]


def _of_audio(item: Item, folder: Path, nudge: int) -> MadeMemory:
    assert item.audio is not None
    uid = f"evaluation-{hashlib.sha256(item.name.encode()).hexdigest()[:24]}-{nudge}"
    update_user(uid, name=item.user or "", time_zone=item.time_zone, vocabulary=list(item.vocabulary))
    names = _enrolled(uid, item, folder)
    recording, seconds = recording_of(item, folder, nudge)
    memory = repository.create_memory(
        uid,
        Memory(
            id=str(uuid.uuid4()), created_at=datetime.now(UTC), started_at=item.started_at, time_zero=item.started_at,
            language=item.language,
        ),
    )  # fmt: skip
    upload = SimpleUploadedFile(recording.name, recording.read_bytes())
    began = time.monotonic()
    run = postprocessing.begin(uid, memory, upload, emotional_feedback=False, idempotency_key=None, actor="evaluate")
    worked(run, max(LEAST_PATIENCE, 10 * seconds))
    latency = time.monotonic() - began
    heard = _read(uid, run, names)
    heard.latency, heard.seconds = latency, seconds
    return heard


def _of_text(item: Item) -> MadeMemory:
    return _read(SEARCHER, _created(item, _given(item)), {})


def _created(item: Item, segments: list[GivenSegment]) -> PostProcessingRun:
    """A memory that the searcher's client brings with its transcript, worked on until it is in order."""
    update_user(SEARCHER, name=item.user or "", time_zone=item.time_zone)
    end = end_of(segments)
    given = CreateMemory(
        started_at=item.started_at, finished_at=item.started_at + timedelta(seconds=end),
        transcript_segments=segments, language=item.language,
    )  # fmt: skip
    memory = create.create_memory(SEARCHER, given, language=item.language, actor="evaluate")
    run = queries.latest_run(SEARCHER, memory.id)
    assert run is not None  # ``create_memory`` starts it in the transaction that stores the memory
    worked(run, LEAST_PATIENCE)
    return run


def worked(run: PostProcessingRun, seconds: float) -> None:
    """Do a worker's work on ``run`` until it has ended. Raises NoEnd."""
    until = time.monotonic() + seconds
    while True:
        runner.work(run.pk)
        run.refresh_from_db()
        if run.finished_at is not None:
            return
        if time.monotonic() > until:
            raise NoEnd(f"the run is {run.state} at {run.current_step} after {seconds:.0f} s")
        due = (run.due_at - timezone.now()).total_seconds() if run.due_at else 0.1
        time.sleep(min(LONGEST_NAP, max(0.05, due)))


def _enrolled(uid: str, item: Item, folder: Path) -> dict[str, str]:
    """The dataset's name of each label that the product can give: ``user`` and the ids of people."""
    names: dict[str, str] = {}
    for name, speaker in item.speakers.items():
        if speaker.enrolment is None:
            continue
        wav = folder / "enrolment.wav"
        decode_to_wav(speaker.enrolment, wav)
        if speaker.role == "user":
            enrolment.enrol_user(uid, wav, source="evaluation")
            names["user"] = name
        else:
            person = people.create_person(uid, name if len(name) >= PEOPLES_NAMES else f"{name} {name}")
            enrolment.add_sample(uid, person.id, wav, source="evaluation")
            names[person.id] = name
    return names


def recording_of(item: Item, folder: Path, nudge: int = 0) -> tuple[Path, float]:
    """The file that is uploaded, the item's own or a WAV of its clip, and its length in seconds."""
    assert item.audio is not None
    wav = folder / "recording.wav"
    info = decode_to_wav(item.audio, wav)
    if item.clip is None and not nudge:
        return item.audio, info.seconds
    with wave.open(str(wav)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    if item.clip is not None:
        pcm = pcm[round(item.clip[0] * RATE) : round(item.clip[1] * RATE)]
    if nudge:
        chance = np.random.default_rng(nudge)
        louder = pcm * (1 + chance.uniform(-NUDGE, NUDGE)) + chance.integers(-1, 2, len(pcm))
        pcm = np.clip(np.rint(louder), -32768, 32767).astype(np.int16)
    wav.write_bytes(wav_bytes(pcm.tobytes()))
    return wav, len(pcm) / RATE


def _read(uid: str, run: PostProcessingRun, names: dict[str, str]) -> MadeMemory:
    steps = {step.name: step for step in run.steps.all()}
    calls = list(run.vendor_calls.all())
    heard = MadeMemory(
        cost=sum(call.cost for call in calls),
        steps={name: round(step.seconds or 0.0, 3) for name, step in steps.items()},
        models=_models(steps),
        note=run.message_id,
    )
    if not run.succeeded:
        heard.failure = f"{run.message_id}: {run.detail}"
        return heard
    memory = repository.get_memory(uid, run.memory_id)
    heard.memory_id = memory.id
    segments = sorted(memory.transcript_segments, key=lambda item: (item.start, item.end))
    heard.text = " ".join(segment.text for segment in segments)
    heard.words = _words(segments, _timed(steps.get("transcribe")), names)
    heard.structured, heard.discarded = memory.structured, memory.discarded
    return heard


def _models(steps: dict[str, RunStep]) -> dict[str, str]:
    outputs = {name: step.output or {} for name, step in steps.items()}
    found = {
        "transcript": outputs.get("transcribe", {}).get("model"),
        "structure": outputs.get("structure", {}).get("method"),
    }
    return {name: str(model) for name, model in found.items() if model}


def _timed(step: RunStep | None) -> list[tuple[str, float, float]]:
    """The words with the times that the engine gave them, which a transcript's segments do not keep."""
    row = StepArtifact.objects.filter(step=step, name="timed").first() if step is not None else None
    return (
        [(str(text), float(start), float(end)) for text, start, end in content_hash.unpack(bytes(row.body))]
        if row
        else []
    )


def _words(
    segments: Sequence[Segment], timed: Sequence[tuple[str, float, float]], names: dict[str, str]
) -> list[HeardWord]:
    """Every word with the voice and name of the segment that it lies in. Without times, words share their segment."""
    if not timed:
        timed = [word for segment in segments for word in _shared(segment)]
    found = []
    for text, start, end in timed:
        middle = (start + end) / 2
        segment = min(segments, key=lambda it: max(it.start - middle, middle - it.end, 0.0), default=None)
        if segment is not None:
            who = names.get("user" if segment.is_user else segment.person_id or "", UNKNOWN)
            found.append(HeardWord(text, start, end, segment.speaker, who))
    return found


def _shared(segment: Segment) -> list[tuple[str, float, float]]:
    words = segment.text.split()
    step = (segment.end - segment.start) / max(1, len(words))
    return [(word, segment.start + at * step, segment.start + (at + 1) * step) for at, word in enumerate(words)]


def _given(item: Item) -> list[GivenSegment]:
    """The item's turns as a client brings them; only the user is known."""
    turns = sorted(item.turns or [], key=lambda turn: turn.start)
    voices = list(dict.fromkeys(turn.speaker for turn in turns))
    return [
        GivenSegment(
            id=segment_id(item.name, at), text=turn.text, start=turn.start, end=turn.end,
            speaker=turn.speaker if is_speaker_label(turn.speaker) else speaker_label(voices.index(turn.speaker)),
            is_user=turn.speaker == item.user,
        )
        for at, turn in enumerate(turns)
    ]  # fmt: skip
