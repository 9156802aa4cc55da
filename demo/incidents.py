"""Five prepared incidents for support staff to practise on: a throw-away installation, vendors that are simulated.

Each begins as it would in life: somebody complains, or the home of the console turns red. ``STORIES`` says what one
hears, and how one sees that it is solved; docs/support-guide.md leads through them.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import material as materials
from demo.app import App
from demo.material import wav
from demo.servers import DemoError, Installation, installation
from demo.vendors.server import VendorServer

Json = dict[str, Any]

LEASE_SECONDS = 900
"""Long, so that what the third incident shows does not mend itself before somebody has looked."""
SLICE_SECONDS = 24
"""Of the bundled conversation, for the incident that needs real voices."""


@dataclass(frozen=True, slots=True)
class Story:
    """``heard``: what support is told; ``solved``: how one sees that it is over."""

    title: str
    heard: str
    solved: str


STORIES = {
    1: Story(
        "A vendor's quota ran out",
        'Several users: "My recordings are not processed." The vendor has raised our limit meanwhile.',
        "The home shows no open breaker; the replay says done for every run; the group is resolved.",
    ),
    2: Story(
        "A damaged recording",
        'User dora: "My memory says that processing failed."',
        "The memory's status is canceled, its live words are still shown, and the group of failures is resolved.",
    ),
    3: Story(
        "A worker froze with a run in its hands",
        'User carl: "It says processing for a long time now."',
        "The stuck radar is empty, and the newest run of the memory ended with success.",
    ),
    4: Story(
        "A worse transcript was accepted",
        'User emma: "My memory talks nonsense since this morning. It was right before."',
        "The live transcript is the active version again, and a run has made the summary from it.",
    ),
    5: Story(
        "The wrong speaker",
        'User finn: "It says that my words are my sister\'s."',
        "After the speakers were identified again, the decisions name the user, and no segment is the sister's.",
    ),
}


def settings(vendors: VendorServer, lease_seconds: float = LEASE_SECONDS) -> dict[str, str]:
    """What the installation of the incidents needs beside its defaults: Deepgram for recordings, simulated."""
    return {
        **vendors.urls,
        "DJANGO_SETTINGS_MODULE": "omi.settings",
        "OMI_PRERECORDED": "deepgram",
        "OMI_EMOTIONS": "none",
        "OMI_LEASE_SECONDS": str(lease_seconds),
        "OMI_VENDOR_BUDGET": "deepgram=300",
        "OMI_REQUESTS_PER_MINUTE": "0",
        "OMI_CREATES_PER_MINUTE": "0",
    }


@contextmanager
def throw_away(
    *, port: int | None = None, lease_seconds: float = LEASE_SECONDS, database: Path | None = None
) -> Iterator[tuple[Installation, VendorServer]]:
    """An installation that is gone afterwards. ``database``: a migrated SQLite file to begin with."""
    folder = Path(tempfile.mkdtemp(prefix="omi-incident-"))
    try:
        with (
            VendorServer(scale=0.05, vendors=("deepgram",)) as vendors,
            installation(
                folder / "data", settings=settings(vendors, lease_seconds), port=port, database=database
            ) as running,
        ):
            yield running, vendors
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepare(number: int, running: Installation, vendors: VendorServer) -> Story:
    """Bring the incident about; afterwards the console shows it."""
    {1: _quota, 2: _damaged, 3: _stuck, 4: _worse, 5: _speaker}[number](running, vendors)
    return STORIES[number]


def app_of(running: Installation, uid: str) -> App:
    """The phone of a user."""
    return App(running.url, running.manage("devtoken", uid).strip())


# --- 1 to 5 ---


def _quota(running: Installation, vendors: VendorServer) -> None:
    """The vendor refuses one recording by quota; our breaker keeps every other away from it."""
    refused = {"kind": "refuse", "status": 402, "body": "{}"}
    vendors.faults("deepgram", {**refused, "times": -1})
    asked = []
    for number in range(3):
        app = app_of(running, f"user-{number + 1}")
        for part in range(2):
            memory = _memory(app, f"we plan the trip number {number} and book the train for part {part}")
            _upload(app, memory, _talk(vendors, number * 8.0 + part * 4.0))
            asked.append((app, memory))
    for app, memory in asked:
        _ended(app, memory)
    vendors.reset()


def _damaged(running: Installation, vendors: VendorServer) -> None:
    app = app_of(running, "dora")
    memory = _memory(app, "the dentist moved the appointment to the second of march")
    running.manage("simulate", "seed", "damaged", "dora", memory)
    _ended(app, memory)


def _stuck(running: Installation, vendors: VendorServer) -> None:
    app = app_of(running, "carl")
    memory = _memory(app, "remember to water the plants on the balcony every second day")
    _upload(app, memory, _talk(vendors, 30.0))
    _ended(app, memory)
    running.manage("simulate", "seed", "stuck", "carl", memory)


def _worse(running: Installation, vendors: VendorServer) -> None:
    app = app_of(running, "emma")
    memory = _memory(app, "the recipe needs two hundred grams of flour three eggs and a lemon")
    running.manage("simulate", "seed", "worse", "emma", memory)


def _speaker(running: Installation, vendors: VendorServer) -> None:
    """A real talk with real voices: the user's is known, and a fault of ours has named their words as another's."""
    app, talk = app_of(running, "finn"), materials.bundled()
    assert talk.enrol_user is not None
    pcm = materials.pcm(talk.recording)[: SLICE_SECONDS * 2 * materials.RATE]
    words = [word for word in talk.words if word["end"] < SLICE_SECONDS]
    vendors.library.add(pcm, materials.RATE, words)
    app.upload("/v3/upload-audio", materials.wav_of(running.folder, talk.enrol_user))
    sister = app.call("POST", "/v1/users/people", json={"name": "Sister"})["id"]
    memory = _memory(app, " ".join(word["word"] for word in words))
    app.upload(f"/v1/memories/{memory}/post-processing", wav(running.folder / "finn.wav", pcm))
    _ended(app, memory)
    running.manage("simulate", "seed", "speaker", "finn", memory, "--person", sister)


# --- what they are made of ---


def _talk(vendors: VendorServer, at: float) -> bytes:
    """Twelve seconds of the bundled conversation from ``at`` on, whose words the simulated vendor knows."""
    talk, begin = materials.bundled(), int(at * materials.RATE)
    pcm = materials.pcm(talk.recording)[begin * 2 : (begin + 12 * materials.RATE) * 2]
    words = [
        {**word, "start": word["start"] - at, "end": word["end"] - at}
        for word in talk.words
        if word["start"] >= at and word["end"] <= at + 12
    ]
    vendors.library.add(pcm, materials.RATE, words)
    return pcm


def _memory(app: App, text: str) -> str:
    segment = {"text": text, "speaker": "SPEAKER_00", "is_user": True, "start": 0.0, "end": 14.0}
    body = {
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600)),
        "finished_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3500)),
        "transcript_segments": [segment], "language": "en",
    }  # fmt: skip
    answer = app.call("POST", "/v1/memories?trigger_integrations=false", json=body)
    return str(answer["memory"]["id"])


def _upload(app: App, memory: str, pcm: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = wav(Path(folder) / "talk.wav", pcm)
        app.upload(f"/v1/memories/{memory}/post-processing", file)


def _ended(app: App, memory: str, *, seconds: float = 240.0) -> Json:
    """Wait for the memory's post-processing to end, well or not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run: Json = app.call("GET", f"/v1/memories/{memory}/post-processing")
        if run["state"] == "finished" and run["kind"] == "postprocess":
            return run
        time.sleep(0.3)
    raise DemoError(f"The run of memory {memory} did not end within {seconds:.0f} s")


def main() -> int:
    """Prepare one incident, say where it can be seen, and keep it until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m demo.incidents", description="Prepare an incident to practise on.")
    parser.add_argument("number", type=int, choices=sorted(STORIES))
    parser.add_argument("--port", type=int, default=8016)
    asked = parser.parse_args()
    print("Starting a throw-away installation with simulated vendors (about a minute) ...", flush=True)
    try:
        with throw_away(port=asked.port) as (running, vendors):
            story = prepare(asked.number, running, vendors)
            name, password = (running.folder / "staff.txt").read_text().split()
            print(f"\nIncident {asked.number}: {story.title}\nWhat you are told: {story.heard}")
            print(f"Console: {running.url}/admin/  (log in as {name} with {password})")
            print(f"Solved when: {story.solved}\nCtrl-C ends it and deletes everything.", flush=True)
            while True:
                time.sleep(1)
    except KeyboardInterrupt:
        print("Gone.")
        return 0
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
