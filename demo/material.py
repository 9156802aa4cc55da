"""What the demo plays: the bundled conversation with its script, or a recording of one's own."""

from __future__ import annotations

import json
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.reference import CONVERSATION, SECOND, Reference
from demo.servers import DemoError

RECORDINGS = Path(__file__).resolve().parent / "recordings"
RATE = 16000


@dataclass(frozen=True)
class Material:
    """``words`` is the script with times (empty for a recording of one's own); ``people`` maps name to samples."""

    recording: Path
    user: str = "You"
    enrol_user: Path | None = None
    people: dict[str, Path] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()
    words: list[dict[str, Any]] = field(default_factory=list)
    reference: Reference | None = None


def bundled() -> Material:
    return _scripted("conversation.json", CONVERSATION)


def second() -> Material:
    """Another talk, of other people: faster, overlapping, with fillers and self-corrections."""
    return _scripted("second.json", SECOND)


def _scripted(name: str, reference: Reference) -> Material:
    script = json.loads((RECORDINGS / name).read_text(encoding="utf-8"))
    roles: dict[str, list[str]] = {}
    for name, speaker in script["speakers"].items():
        roles.setdefault(speaker["role"], []).append(name)
    user = roles["user"][0]
    return Material(
        recording=RECORDINGS / script["audio"],
        user=user,
        enrol_user=RECORDINGS / script["speakers"][user]["enrolment"],
        people={name: RECORDINGS / script["speakers"][name]["enrolment"] for name in roles.get("person", [])},
        strangers=tuple(roles.get("stranger", [])),
        words=script["words"],
        reference=reference,
    )


def own(audio: Path, enrol: Path | None) -> Material:
    for file in filter(None, (audio, enrol)):
        if not file.is_file():
            raise DemoError(f"There is no file {file}")
    return Material(recording=audio, enrol_user=enrol)


def pcm(recording: Path) -> bytes:
    """16 kHz mono signed 16-bit samples of anything that PyAV reads."""
    import av

    try:
        with av.open(str(recording)) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
            frames += resampler.resample(None)
    except (av.FFmpegError, IndexError, OSError) as error:
        raise DemoError(f"{recording.name} is not a recording that can be read: {error}") from error
    return b"".join(frame.to_ndarray().tobytes() for frame in frames)


def wav(path: Path, samples: bytes) -> Path:
    """``samples`` as the WAV that the app uploads."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples)
    return path


def wav_of(folder: Path, recording: Path) -> Path:
    return wav(folder / f"{recording.stem}.wav", pcm(recording))


OTHER_MEMORIES: list[list[tuple[bool, str]]] = [
    [
        (True, "I finally found the recipe for the lemon cake that my grandmother used to bake."),
        (False, "Wonderful, bring it to the party and we will bake it together with fresh lemons and butter."),
    ],
    [
        (False, "The new version of the payment service crashed twice last night because the database was full."),
        (True, "Then we should add an alert for the disk and roll back the release until the bug is fixed."),
    ],
    [
        (False, "Your knee looks better on the scan, but please do the exercises every morning and avoid running."),
        (True, "Thank you doctor. I will swim twice a week instead of running."),
    ],
    [
        (True, "Did you see the football match yesterday? Our team scored three goals in the second half."),
        (False, "Yes, the goalkeeper was brilliant. We have tickets for the final in June."),
    ],
]
"""Memories that the demo's user has already: something that a search must not find instead."""

SEARCHES = [
    "repairing the water pipes at the school", "when do I see the dentist?", "train journey to Boston",
    "four thousand dollars",
]  # fmt: skip
