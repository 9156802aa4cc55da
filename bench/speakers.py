"""``make bench-speakers``: how well voices are recognised, and how fast.

Figures are of the reporting side of the speakers; ``--fit`` makes weights from the choosing side and the shipped cohort
of all. The first run embeds every voice (about 25 minutes of one core), later ones take that from ``var/bench-voices``.
Without the recordings of ``OMI_BENCH_SPEECH`` (recordings with an index.json) only the bundled ones are measured.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # figures are for one core
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from bench import speakers_guests
from bench.speakers_data import BUNDLED, RATE, halves, load, meetings, sides, speakers, speech_folder

UID = "bench"


def start_django(folder: str) -> None:
    """A database and audio store of its own, gone with the folder."""
    os.environ.pop("DATABASE_URL", None)
    os.environ.update(OMI_DATA_DIR=folder, DJANGO_SETTINGS_MODULE="omi.settings", OMI_LOG_LEVEL="ERROR")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def write_wav(path: Path, pcm: NDArray[np.int16]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.tobytes())
    return path


def verification(folder: Path, *, ship: bool) -> None:
    """Tables of the reporting side; with ``ship`` weights and cohort are made and written instead."""
    from bench import speakers_fit, speakers_report
    from bench.speakers_trials import embedded
    from omi.core.providers import one
    from speakers.calibration import calibration_of

    engine = one("voices")
    voices = embedded(engine, speakers(folder))
    choosing, reporting = sides(voices)
    if ship:
        speakers_fit.ship(engine, choosing, voices)
        return
    calibration = calibration_of(engine.name, engine.version)
    if calibration is None:
        print(f"{engine.name} {engine.version} has no calibration: run with --fit first")
        return
    speakers_report.report(engine, choosing, reporting, calibration.least)


def gates(folder: Path) -> None:
    """The one gate that was measured: is a recording of one voice refused, is one of two voices let through."""
    from bench.speakers_conditions import degrade
    from omi.core.providers import one
    from speakers.engines.scale import scale_of
    from speakers.enrolment import measured

    voices = one("voices")

    def two(pcm: NDArray[np.int16]) -> bool:
        unity = measured(pcm, voices)[0].unity
        return unity is not None and unity < scale_of(voices).part

    alone = [person for person in sides(speakers(folder))[1] if len(person.pcm) >= 30 * RATE][:8]
    single = [
        degrade(person.pcm[: 30 * RATE], condition, 0)
        for person in alone
        for condition in ("clean", "noise 15 dB", "room")
    ]
    mixed = [
        np.concatenate([one_voice.pcm[: 8 * RATE], other.pcm[: 8 * RATE]])
        for at, one_voice in enumerate(alone)
        for other in alone[:at]
        if one_voice.sex == other.sex
    ]
    refused, passed = sum(two(pcm) for pcm in single), sum(not two(pcm) for pcm in mixed)
    print(f"\nEnrolment, reporting side: {refused} of {len(single)} recordings of one voice refused as two,")
    print(f"  {passed} of {len(mixed)} recordings of two voices of one sex accepted as one")


def diarization(folder: Path) -> None:
    from bench.diarization import Labelled, measure

    print("\nDiarization error rate of the local diarization (collar 0.25 s), AMI excerpts")
    for name, pcm, turns in meetings(folder):
        measure(name, pcm, [Labelled(*turn) for turn in turns])


def bundled(folder: Path) -> None:
    import json

    from speakers import enrolment, people
    from speakers.forget import forget_user
    from speakers.identify import identify
    from transcription.segments import Segment, speaker_label

    forget_user(UID)
    script = json.loads((BUNDLED / "conversation.json").read_text(encoding="utf-8"))
    enrolment.enrol_user(UID, write_wav(folder / "a.wav", load(BUNDLED / "enrol_user.flac")))
    person = people.create_person(UID, "David")
    enrolment.add_sample(UID, person.id, write_wav(folder / "b.wav", load(BUNDLED / "enrol_person.flac")))
    who = {"Anna": "user", "David": person.id}
    order = list(dict.fromkeys(turn["speaker"] for turn in script["turns"]))
    segments = [
        Segment(text="x", speaker=speaker_label(order.index(t["speaker"])), start=t["start"], end=t["end"])
        for t in script["turns"]
    ]
    pcm = load(BUNDLED / "conversation.flac")
    result = identify(UID, write_wav(folder / "c.wav", pcm), segments)
    print("\nBundled conversation of three synthetic voices, user and one person enrolled (clean: an easy case)")
    given = ["user" if item.is_user else item.person_id or "" for item in result.segments]
    right = sum(name == who.get(turn["speaker"], "") for name, turn in zip(given, script["turns"], strict=True))
    print(f"  {right} of {len(given)} segments right")


def speed(folder: Path) -> None:
    """Throughput on one core, one hour of recording with 10 people, enrolment latency, memory."""
    from omi.core.providers import one
    from speakers import enrolment, people
    from speakers.identify import identify
    from speakers.models import ProfileVersion, pack
    from transcription.segments import Segment, speaker_label

    voices = one("voices")
    pcm = load(BUNDLED / "conversation.flac")
    minute = np.tile(pcm, 1)[: 60 * RATE]
    cuts = [(start, start + 1.6) for start in np.arange(0, 58, 1.6)]
    voices.embed_segments(minute, cuts[:4])
    took = timed(lambda: voices.embed_segments(minute, cuts))
    print(f"\nSpeed (wall, one core, {voices.name} {voices.version})")
    print(f"  embedding            {len(cuts) * 1.6 / took:6.0f} x real time")
    enrolled = write_wav(folder / "e.wav", load(BUNDLED / "enrol_user.flac"))
    print(f"  enrolment of 19 s    {timed(lambda: enrolment.enrol_user(UID, enrolled)):6.2f} s")
    rng = np.random.default_rng(0)
    for number in range(10):
        person = people.create_person(UID, f"Person {number}")
        ProfileVersion.objects.create(
            uid=UID, person_id=person.id, number=1, engine=voices.name, engine_version=voices.version,
            vector=pack(np.abs(rng.normal(size=voices.dimension)).astype(np.float32)), voiced_seconds=20, reason="-",
        )  # fmt: skip
    hour = write_wav(folder / "hour.wav", np.tile(pcm, 1 + 3600 * RATE // len(pcm))[: 3600 * RATE])
    segments = [
        Segment(text="x", speaker=speaker_label(index % 8), start=float(at), end=float(at) + 4.5)
        for index, at in enumerate(range(0, 3595, 5))
    ]
    took = timed(lambda: identify(UID, hour, segments))
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    voices.close()
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"  identify 1 h, 8 voices, 10 people  {took:6.2f} s (aim 30)")
    print(f"  memory at most       {own:6.0f} MB here, {child:.0f} MB in the engine's child (aim 1000 together)")


def engine_speed() -> None:
    """The built-in engine through its child process of one thread: best of three."""
    from speakers.engines.client import WorkerClient

    pcm = load(BUNDLED / "conversation.flac")[: 60 * RATE]
    windows = [(float(start), float(start) + 1.6) for start in np.arange(0, 58, 1.6)]
    voice = [(float(start), float(start) + 6) for start in np.arange(0, 54, 6)]
    client = WorkerClient()
    client.embed(pcm, windows[:4])
    short, long = (min(timed(partial(client.embed, pcm, cuts)) for _ in range(3)) for cuts in (windows, voice))
    assert client._child._process is not None
    status = Path(f"/proc/{client._child._process.pid}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
    client.close()
    print(
        f"\nCAM++ (one core, through the child process): windows of 1.6 s {len(windows) * 1.6 / short:.0f} x real time,"
        f" pieces of 6 s {54 / long:.0f} x; {peak} MB"
    )


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--fit", action="store_true", help="make cohort and weights of the configured engine, then stop"
    )
    options = parser.parse_args()
    speech = speech_folder()
    with tempfile.TemporaryDirectory(prefix="omi-bench-") as name:
        start_django(name)
        folder = Path(name)
        if options.fit:
            if speech is None:
                print("--fit needs OMI_BENCH_SPEECH", file=sys.stderr)
                return 1
            verification(speech, ship=True)
            return 0
        bundled(folder)
        engine_speed()
        speed(folder)  # before the recordings fill the memory that it reports
        if speech is None:
            print("\nNo recordings of real voices here (OMI_BENCH_SPEECH): EER, conversations and DER are left out")
        else:
            verification(speech, ship=False)
            gates(speech)
            choosing, reporting = halves(speech)
            print("\nLocal diarization, 24 conversations of 1 to 3 voices and every second time a guest of 2 to 3.4 s")
            speakers_guests.measure("choosing", choosing)
            speakers_guests.measure("reporting", reporting)
            diarization(speech)
    return 0


if __name__ == "__main__":
    sys.exit(main())
