"""``make bench-speakers``: how well voices are recognised, against the original's rule, and how fast.

Everything printed is of the reporting half of the speakers; ``--fit`` makes cohort and weights from the choosing half.
Without the recordings of ``OMI_BENCH_SPEECH`` (a folder like ../shared/speech) only the bundled ones are measured.
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
from bench.speakers_data import BUNDLED, RATE, Half, halves, load, meetings, speech_folder

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


def fit(folder: Path, note: str) -> None:
    """Cohort and logistic weights from the choosing half, for the configured engine."""
    from scipy.optimize import minimize

    from bench.speakers_trials import embed_half, trials
    from omi.providers import one
    from speakers.calibration import save

    engine = one("voices")
    voices = embed_half(engine, halves(folder)[0])
    found = trials(voices, voices.strangers)
    norms = np.array([trial.snorm for trial in found])
    target = np.array([trial.target for trial in found])
    weights = np.where(target, 0.5 / target.sum(), 0.5 / (~target).sum())  # even odds before

    def loss(values: NDArray[np.float64]) -> float:
        return float(np.sum(weights * np.logaddexp(0, np.where(target, -1, 1) * (values[0] + values[1] * norms))))

    best = minimize(loss, np.array([0.0, 1.0]), method="BFGS").x
    cohort = np.stack([voices.strangers[name] for name in sorted(voices.strangers)])
    path = save(
        engine.name,
        engine.version,
        bias=round(float(best[0]), 3),
        slope=round(float(best[1]), 3),
        cohort=cohort,
        note=note,
    )
    print(f"{path.name}: bias {best[0]:.3f}, slope {best[1]:.3f}, log loss {loss(best):.4f}, cohort {cohort.shape}")


def verification(reporting: Half, choosing: Half) -> None:
    """EER by evidence, and what the shipped threshold accepts and misses, by condition."""
    from bench.speakers_trials import CONDITIONS, SECONDS, eer, embed_half, trials
    from omi.providers import one
    from speakers.calibration import calibration_of
    from speakers.policy import ACCEPT

    engine = one("voices")
    calibration = calibration_of(engine.name, engine.version)
    if calibration is None:
        print(f"{engine.name} {engine.version} has no calibration: run with --fit first")
        return
    for title, half in (("choosing", choosing), ("reporting", reporting)):
        voices = embed_half(engine, half)
        shipped = {str(index): row for index, row in enumerate(calibration.cohort)}
        found = trials(voices, shipped if title == "reporting" else voices.strangers)
        seconds, target = np.array([t.seconds for t in found]), np.array([t.target for t in found])
        condition, cosine = np.array([t.condition for t in found]), np.array([t.cosine for t in found])
        logit = calibration.bias + calibration.slope * np.array([t.snorm for t in found])
        accepted = 1 / (1 + np.exp(-logit)) >= ACCEPT
        print(f"\nVerification, {title} half: {target.sum()} same, {(~target).sum()} different trials, 5 conditions")
        print("  evidence   EER plain cosine   EER s-norm")
        for length in SECONDS:
            here = seconds == length
            plain, normed = eer(cosine[here], target[here]), eer(logit[here], target[here])
            print(f"  {length:4.0f} s     {plain:12.2%}   {normed:12.2%}")
        print(f"  accepted at probability {ACCEPT} with 5 s and more: strangers   misses of the enrolled")
        for name in (*CONDITIONS, "all"):
            here = (seconds >= 5) & ((condition == name) | (name == "all"))
            strangers, own = here & ~target, here & target
            wrong, missed = int(accepted[strangers].sum()), int((~accepted[own]).sum())
            print(
                f"  {name:12s} {wrong:4d} of {strangers.sum():4d} ({wrong / strangers.sum():6.2%}) "
                f"{missed:12d} of {own.sum():4d} ({missed / own.sum():6.2%})"
            )


def gates(half: Half) -> None:
    """The one gate that was measured: is a recording of one voice refused, is one of two voices let through."""
    from bench.speakers_trials import degrade
    from omi.providers import one
    from speakers.engines.scale import scale_of
    from speakers.enrolment import analyse

    voices = one("voices")

    def two(pcm: NDArray[np.int16]) -> bool:
        unity = analyse(pcm, voices).quality.unity
        return unity is not None and unity < scale_of(voices).part

    alone = [np.concatenate(recordings)[: 30 * RATE] for recordings in half.readers.values()]
    single = [degrade(pcm, condition, 0) for pcm in alone for condition in ("clean", "noise 15 dB", "room")]
    others = [pcm[: 8 * RATE] for pcm in half.strangers.values() if len(pcm) >= 6 * RATE]
    mixed = [np.concatenate([pcm[: 8 * RATE], other]) for pcm in alone for other in others]
    refused, passed = sum(two(pcm) for pcm in single), sum(not two(pcm) for pcm in mixed)
    print(f"\nEnrolment, reporting half: {refused} of {len(single)} recordings of one voice refused as two,")
    print(f"  {passed} of {len(mixed)} recordings of two voices accepted as one")


def enrol(half: Half, folder: Path, persons: list[str]) -> dict[str, str]:
    """The first of ``persons`` as the user, the others as people: speaker to label. Their first recordings teach."""
    from speakers import enrolment, people
    from speakers.forget import forget_user

    forget_user(UID)
    labels: dict[str, str] = {}
    for index, name in enumerate(persons):
        recording = write_wav(folder / "enrol.wav", np.concatenate(half.readers[name][::2])[: 40 * RATE])
        if index == 0:
            enrolment.enrol_user(UID, recording)
            labels[name] = "user"
        else:
            person = people.create_person(UID, f"Reader {name}")
            enrolment.add_sample(UID, person.id, recording)
            labels[name] = person.id
    return labels


def conversations(half: Half, folder: Path, repeats: int = 4) -> None:
    """Label accuracy by duration, with true turns and with the local diarization, against the nearest profile."""
    from bench.speakers_talks import make, right_seconds, rightly_divided
    from speakers.identify import identify

    readers = sorted(half.readers)
    print("\nConversations of the reporting half (clean, noise, room): seconds with the right label")
    print("                                                         ours, words divided by the local diarization,")
    print("  voices  enrolled   nearest profile   ours, true turns      and of that where diarization is right")
    for count in (2, 3, 4):
        for enrolled in (1, 2):
            sums = {"nearest": 0.0, "ours": 0.0, "diarized": 0.0}
            total = good = divided = 0.0
            for repeat in range(repeats):
                present = [readers[(repeat + index) % len(readers)] for index in range(min(count, 2))]
                labels = enrol(half, folder, present[:enrolled])
                names = sorted(half.strangers)
                first = repeat * 3
                talk = make(
                    half, present, [names[(first + i) % len(names)] for i in range(count - len(present))], repeat
                )
                recording = write_wav(folder / "talk.wav", talk.pcm)
                heard = identify(UID, recording, diarized(recording, talk.segments)).segments
                for key, segments in (
                    ("ours", identify(UID, recording, talk.segments).segments),
                    ("nearest", nearest(talk.pcm, talk.segments)),
                    ("diarized", heard),
                ):
                    right, spoken = right_seconds(talk, segments, labels)
                    sums[key] += right
                total += spoken
                right, spoken = right_seconds(talk, heard, labels, rightly_divided(talk, heard))
                good, divided = good + right, divided + spoken
            row = "".join(f"{sums[key] / total:18.1%}" for key in ("nearest", "ours", "diarized"))
            share = f"{good / divided:.1%} of {divided / total:.1%}" if divided else "-"
            print(f"  {count:6d}  {enrolled:8d} {row}  {share:>20s}")


def nearest(pcm: NDArray[np.int16], segments: list) -> list:  # type: ignore[type-arg]
    """The original's rule: each segment of a second or more is the nearest profile's; there is no unknown."""
    from omi.providers import one
    from speakers.gallery import candidates
    from speakers.policy import CANDIDATE_USER

    engine = one("voices")
    known = candidates(UID, engine)
    rows = engine.embed_segments(pcm, [(segment.start, segment.end) for segment in segments])
    labelled = []
    for segment, row in zip(segments, rows, strict=True):
        best = known.ids[int((known.profiles @ row).argmax())]
        long_enough = segment.end - segment.start >= 1.0
        user = long_enough and best == CANDIDATE_USER
        person = best if long_enough and not user else None
        labelled.append(segment.model_copy(update={"is_user": user, "person_id": person}))
    return labelled


def diarized(recording: Path, spoken: list) -> list:  # type: ignore[type-arg]
    """As for a provider that tells no speakers apart: words of 0.3 s all through each turn, labelled by ours."""
    from speakers.turns import assign_speakers
    from transcription.segments import Segment, Word

    words = [
        Word(text="x", start=float(start), end=float(min(start + 0.3, turn.end)))
        for turn in spoken
        for start in np.arange(turn.start, turn.end - 0.05, 0.3)
    ]
    return [
        Segment(id=str(index), text="x", speaker=word.speaker or "", start=word.start, end=word.end)
        for index, word in enumerate(assign_speakers(words, recording))
    ]


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
    for title, labelled in (("ours", result.segments), ("nearest profile", nearest(pcm, segments))):
        given = ["user" if item.is_user else item.person_id or "" for item in labelled]
        right = sum(g == who.get(t["speaker"], "") for g, t in zip(given, script["turns"], strict=True))
        print(f"  {title:16s} {right} of {len(given)} segments right")


def speed(folder: Path) -> None:
    """Throughput on one core, one hour of recording with 10 people, enrolment latency, memory."""
    from omi.providers import one
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


def runtimes(folder: Path) -> None:
    """The bundled weights by NumPy and by ONNX Runtime, a child process of one thread each, in turn: best of five."""
    from speakers.engines.client import WorkerClient

    pcm = load(BUNDLED / "conversation.flac")[: 60 * RATE]
    cuts = [(float(start), float(start) + 1.6) for start in np.arange(0, 58, 0.4)]
    few = cuts[:4]
    clients = {"NumPy": WorkerClient(), "ONNX Runtime": WorkerClient(onnx=str(folder))}
    rows: dict[str, NDArray[np.float32]] = {}
    many: dict[str, float] = {}
    one: dict[str, float] = {}
    for _ in range(5):
        for name, client in clients.items():
            client.embed(pcm, few)
            one[name] = min(one.get(name, 99.0), timed(partial(client.embed, pcm, few)))
            began = time.perf_counter()
            rows[name] = client.embed(pcm, cuts)
            many[name] = min(many.get(name, 99.0), time.perf_counter() - began)
    print("\nThe bundled weights (one core; windows of 1.6 s at once, through the child process)")
    for name, client in clients.items():
        assert client._process is not None
        status = Path(f"/proc/{client._process.pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
        client.close()
        print(
            f"  {name:14s} {len(cuts)} windows {len(cuts) * 1.6 / many[name]:5.0f} x real time, "
            f"{len(few)} windows {len(few) * 1.6 / one[name]:5.0f} x; {peak} MB"
        )
    print(f"  largest difference of one number: {np.abs(rows['NumPy'] - rows['ONNX Runtime']).max():.1e}")


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--fit", action="store_true", help="make cohort and weights of the configured engine, then stop"
    )
    parser.add_argument("--note", default="LibriSpeech (c) 2014 Vassil Panayotov, CC BY 4.0: embeddings of readers")
    options = parser.parse_args()
    speech = speech_folder()
    with tempfile.TemporaryDirectory(prefix="omi-bench-") as name:
        start_django(name)
        folder = Path(name)
        if options.fit:
            if speech is None:
                print("--fit needs OMI_BENCH_SPEECH", file=sys.stderr)
                return 1
            fit(speech, options.note)
            return 0
        bundled(folder)
        runtimes(folder)
        speed(folder)  # before the recordings fill the memory that it reports
        if speech is None:
            print("\nNo recordings of real voices here (OMI_BENCH_SPEECH): EER, conversations and DER are left out")
        else:
            choosing, reporting = halves(speech)
            verification(reporting, choosing)
            gates(reporting)
            conversations(reporting, folder)
            print("\nLocal diarization, 24 conversations of 1 to 3 voices and every second time a guest of 2 to 3.4 s")
            speakers_guests.measure("choosing", choosing)
            speakers_guests.measure("reporting", reporting)
            diarization(speech)
    return 0


if __name__ == "__main__":
    sys.exit(main())
