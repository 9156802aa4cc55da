"""The second bundled conversation: another user's phone lost its connection at once and uploads the recording."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from demo import material as materials
from demo.app import App
from demo.material import Material, wav, wav_of
from demo.measure import measured
from demo.reference import faults
from demo.servers import DemoError, Installation

UID = "demo-user-2"
FIRST = 12.0
"""Seconds of the talk that the phone had understood."""
FOR_A_TITLE = 120.0
WAIT = 600.0
"""Seconds for a post-processing run."""
Json = dict[str, Any]


def run(console: Console, running: Installation, folder: Path) -> Json:
    """The finished memory, held against the script: ``memory``, ``post_processed``, ``steps``, ``faults``."""
    material = materials.second()
    assert material.reference is not None
    assert material.enrol_user is not None
    app = App(running.url, running.manage("devtoken", UID, "--name", material.user).strip())
    console.print(
        f"[cyan]•[/cyan] A second conversation, of {material.user} and two strangers: uploaded after a lost connection"
    )
    app.upload("/v3/upload-audio", wav_of(folder, material.enrol_user))
    samples = materials.pcm(material.recording)
    started = datetime.now(UTC) - timedelta(minutes=10)
    body = {
        "started_at": started.isoformat(),
        "finished_at": (started + timedelta(seconds=len(samples) / 2 / materials.RATE)).isoformat(),
        "transcript_segments": [_first_words(material)],
        "language": "en",
    }
    memory_id = app.call("POST", "/v1/memories?trigger_integrations=false", json=body)["memory"]["id"]
    before = _made(app, memory_id)
    post_process(console, app, memory_id, wav(folder / "second.wav", samples))
    memory = app.call("GET", f"/v1/memories/{memory_id}")
    state = app.call("GET", f"/v1/memories/{memory_id}/post-processing")
    part = measured(material, {}, memory["transcript_segments"], memory.get("active_transcript") or "")
    return {
        "memory": memory,
        "before": before["structured"],
        "names": {"user": material.user},
        "post_processed": part,
        "steps": state["steps"],
        "faults": faults(material.reference, part, memory["structured"]),
    }


def _made(app: App, memory_id: str) -> Json:
    """The memory once a worker has put its few words in order: the upload then has it to itself."""
    deadline = time.monotonic() + FOR_A_TITLE
    while time.monotonic() < deadline:
        memory: Json = app.call("GET", f"/v1/memories/{memory_id}")
        if memory["structured"]["title"] or memory["discarded"]:
            return memory
        time.sleep(0.3)
    raise DemoError(f"The second memory had no title after {FOR_A_TITLE:.0f} s")


def _first_words(material: Material) -> Json:
    """What the phone itself had understood when its connection was lost: a memory cannot begin with nothing."""
    heard = [word for word in material.words if word["end"] <= FIRST]
    return {
        "text": " ".join(word["word"] for word in heard),
        "speaker": "SPEAKER_00",
        "is_user": False,
        "start": heard[0]["start"],
        "end": heard[-1]["end"],
    }


def post_process(console: Console, app: App, memory_id: str, recording: Path) -> None:
    """Upload ``recording`` and follow its run to the end. Raises DemoError where it does not succeed."""
    answer = app.upload(f"/v1/memories/{memory_id}/post-processing", recording, params={"emotional_feedback": "true"})
    if answer["postprocessing"]["status"] != "in_progress":
        raise DemoError(f"The answer says {answer['postprocessing']}, not in_progress")
    columns = (
        TextColumn("   {task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("queued", total=100)
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            state = app.call("GET", f"/v1/memories/{memory_id}/post-processing")
            progress.update(bar, completed=state["percent"], description=f"{state['step'] or state['state']:<18}")
            if state["state"] == "finished":
                break
            time.sleep(0.4)
    if state["state"] != "finished" or state["outcome"] != "success":
        raise DemoError(f"Post-processing ended as {state['outcome'] or state['state']}: {state.get('message')}")
    app.wait_for_event({"memory_post_processing_success"}, 0, 30, lambda event: None)
