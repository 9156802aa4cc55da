"""``python -m bench.conversations``: simulated conversations through the code that names voices.

First ``--audio`` of them (300) as recordings. Everything that decides is the production code: the live grouping
(``transcription.session.voices.Voices``), the live labeller, the joining of labels of several connections, and
``identify`` for the memory and afterwards. Simulated are the conversations (real recordings of the reporting side, put
together), the vendors (they tell speakers apart rightly, and count them anew after each drop or change of vendor) and
the clock. Then ``--vectors`` of them (2,000) as decisions alone, on speech that is embedded already.

The calibration is the choosing side's: no tested speaker has a part in it. All is from a fixed seed. The first run
embeds the voices (``bench.speakers``, ten minutes of one core) and what they say here (three); later ones take that
from ``var/bench-voices``. How long the rest will take is printed after the first conversations.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from bench.conversations_tally import Tally, table
from bench.speakers import start_django, write_wav
from bench.speakers_data import RATE, sides, speakers, speech_folder

AUDIO, VECTORS = 300, 2000
"""Conversations that are made as recordings, and as vectors."""
STEP = 500
"""Conversations after which the table so far is printed."""
WARM = 10
"""Conversations after which the rest of the time is foretold."""
MINUTES = 60.0
"""Of conversations on audio, at most: the table is then of as many as were made."""
WORD = 0.4
"""Seconds of one word, as a live vendor gives them."""
ROWS = ("live, when it was said", "live, at the end", "memory, labels joined", "afterwards, right diarization")


async def live(uid: str, talk) -> tuple[list[str], list[str]]:  # type: ignore[no-untyped-def]
    """Names of each turn: as they were shown when it ended, and as they stand at the end of the session."""
    from speakers.live import LiveLabeller
    from transcription.ports import VoiceLabel
    from transcription.session.voices import Voices
    from transcription.session.window import AudioWindow

    current: dict[str, str] = {}

    def named(label: str, voice: VoiceLabel) -> None:
        current[label] = "user" if voice.is_user else voice.person_id or ""

    window = AudioWindow(None)
    voices = Voices(uid, LiveLabeller(), window, named)
    shown: list[str] = []
    words = [
        (turn.live, turn.start + at, min(turn.start + at + WORD, turn.end))
        for turn in talk.turns
        for at in np.arange(0, turn.end - turn.start - 0.05, WORD)
    ]
    for second in range(1, len(talk.pcm) // RATE + 2):
        window.append(talk.pcm[(second - 1) * RATE : second * RATE].astype("<i2").tobytes())
        while words and words[0][2] <= second:
            voices.note(*words.pop(0))
        voices.tick()
        while asking := [task for task in asyncio.all_tasks() if task.get_name() == "live-voices"]:
            await asyncio.wait(asking)
        while len(shown) < len(talk.turns) and talk.turns[len(shown)].end <= second:
            shown.append(current.get(talk.turns[len(shown)].live, ""))
    await voices.settle()
    shown += [current.get(turn.live, "") for turn in talk.turns[len(shown) :]]
    return shown, [current.get(turn.live, "") for turn in talk.turns]


def enrolled(folder: Path, people: Sequence, most: int) -> dict[str, dict[str, str]]:  # type: ignore[type-arg]
    """A user for each voice that can be enrolled, who knows one more of them as a person: uid to speaker to name."""
    from speakers import enrolment, gallery
    from speakers import people as known

    able = [item for item in people if item.enrol is not None]
    users = {}
    for item in able[:: -(-len(able) // most)]:
        other = able[(able.index(item) + 1) % len(able)]
        uid = f"bench-{item.name}"
        enrolment.enrol_user(uid, write_wav(folder / "enrol.wav", item.enrol))
        person = known.create_person(uid, f"Person {other.name}")
        enrolment.add_sample(uid, person.id, write_wav(folder / "enrol.wav", other.enrol))
        assert gallery.has_profile(uid)
        users[uid] = {item.name: "user", other.name: person.id}
    return users


def measure(folder: Path, talks: int, users_at_most: int, minutes: float) -> None:
    """Conversations as recordings, through the session's grouping, the joining of labels and ``identify``."""
    from bench.conversations_data import live_segments, make, talkers, true_segments
    from bench.speakers_trials import embedded
    from omi.core.providers import one
    from speakers.identify import identify
    from speakers.turns import repair_labels

    everybody = speakers(_speech())
    reporting = {voice.name for voice in sides(embedded(one("voices"), everybody))[1]}
    people = talkers([person for person in everybody if person.name in reporting])
    users = enrolled(folder, people, users_at_most)
    by_name = {item.name: item for item in people}
    tallies = {title: Tally() for title in ROWS}
    present = drops = 0
    began = time.monotonic()
    for seed in range(talks):
        if seed == WARM:
            left = (time.monotonic() - began) / WARM * (talks - WARM)
            print(
                f"{talks} conversations on audio: about {left / 60:.0f} minutes more, {minutes:g} at most", flush=True
            )
        uid = sorted(users)[seed // 2 % len(users)]
        who = users[uid]
        talk = make(people, by_name[uid.removeprefix("bench-")], seed)
        present, drops = present + talk.present, drops + talk.drops
        wav = write_wav(folder / "talk.wav", talk.pcm)
        shown, final = asyncio.run(live(uid, talk))
        heard = [turn.live for turn in talk.turns]
        tallies[ROWS[0]].add(talk.turns, heard, shown, who)
        tallies[ROWS[1]].add(talk.turns, heard, final, who)
        for title, segments in zip(
            ROWS[2:], (repair_labels(live_segments(talk), wav), true_segments(talk)), strict=True
        ):
            found = identify(uid, wav, segments).segments
            names = ["user" if item.is_user else item.person_id or "" for item in found]
            tallies[title].add(talk.turns, [item.speaker for item in found], names, who)
        late = time.monotonic() - began > minutes * 60
        if (seed + 1) % STEP == 0 or seed + 1 == talks or late:
            _print(seed + 1, len(people), len(users), present, drops, tallies)
        if late:
            break
    one("voices").close()


def _print(talks: int, voices: int, users: int, present: int, drops: int, tallies: dict[str, Tally]) -> None:
    print(
        f"\n{talks} conversations of {voices} voices, {users} of them enrolled in turn; the user present in {present};"
        f" {drops} drops"
    )
    print(table(tallies), flush=True)


def measure_vectors(talks: int) -> None:
    """As ``measure``, on speech that is embedded already; cohort and weights are the choosing side's."""
    from bench.conversations_vectors import answers, known, make
    from bench.speakers_trials import kept
    from speakers.calibration import Calibration, calibration_of
    from speakers.engines.campplus import CampplusEngine
    from speakers.engines.scale import CAMPPLUS
    from speakers.policy import Rules

    voices = kept(CampplusEngine.name, CampplusEngine.version)
    shipped = calibration_of(CampplusEngine.name, CampplusEngine.version)
    if not voices or shipped is None:
        raise SystemExit("nothing is embedded yet: run python -m bench.speakers first")
    choosing, reporting = sides(voices)
    cohort = np.stack([voice.cohort for voice in choosing], axis=1)
    calibration = Calibration("", "", shipped.profile, shipped.voice, cohort, shipped.least)
    rules = Rules(margin=CAMPPLUS.margin, coverage=shipped.least)
    users = [voice for voice in reporting if voice.profile is not None]
    tallies = {title: Tally() for title in ROWS}
    present = drops = 0
    for seed in range(talks):
        at = seed // 2 % len(users)
        user, person = users[at], users[(at + 1) % len(users)]
        who = {user.name: "user", person.name: "person"}
        turns = make(reporting, user, seed)
        found = answers(turns, known(user, person), calibration, rules)
        present += any(turn.name == user.name for turn in turns)
        drops += turns[-1].connection
        live_labels = [turn.live for turn in turns]
        for title, labels, names in (
            (ROWS[0], live_labels, found.shown), (ROWS[1], live_labels, found.final),
            (ROWS[2], found.memory_labels, found.memory), (ROWS[3], [turn.name for turn in turns], found.post),
        ):  # fmt: skip
            tallies[title].add(turns, labels, names, who)
        if (seed + 1) % STEP == 0 or seed + 1 == talks:
            _print(seed + 1, len(reporting), len(users), present, drops, tallies)


def _speech() -> Path:
    folder = speech_folder()
    assert folder is not None
    return folder


def calibrate(folder: Path) -> None:
    """The shipped rules with cohort and weights of the choosing side alone."""
    from bench.speakers_fit import ship
    from bench.speakers_trials import embedded
    from omi.core.providers import one
    from speakers import calibration

    engine = one("voices")
    choosing = sides(embedded(engine, speakers(_speech())))[0]
    calibration.FOLDER = folder
    ship(engine, choosing, choosing)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=int, default=AUDIO, help="conversations that are made as recordings")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of conversations on audio, at most")
    parser.add_argument("--users", type=int, default=100, help="voices that are enrolled as users on audio, at most")
    parser.add_argument("--vectors", type=int, default=VECTORS, help="and as decisions alone, on embedded speech")
    options = parser.parse_args()
    if speech_folder() is None:
        print("No recordings of real voices here: OMI_BENCH_SPEECH names their folder", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="omi-bench-") as name:
        start_django(name)
        from django.conf import settings

        settings.PROVIDERS["voices"] = {"BACKEND": "bench.conversations_data.RememberingVoices"}
        calibrate(Path(name))
        if options.audio:
            print("On audio, through the session's own code:")
            measure(Path(name), options.audio, options.users, options.minutes)
        if options.vectors:
            print("\nOn vectors, decisions alone:")
            measure_vectors(options.vectors)
    return 0


if __name__ == "__main__":
    sys.exit(main())
