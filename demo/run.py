"""The demo: one recorded conversation through every room, as the app would do it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from demo import gained, report, second
from demo import material as materials
from demo.app import App, Heard, stream
from demo.material import Material, wav, wav_of
from demo.measure import measured
from demo.reference import CONVERSATION, faults
from demo.servers import DemoError, Installation, installation

UID = "demo-user"
Json = dict[str, Any]


@dataclass
class Demo:
    console: Console
    folder: Path
    material: Material
    speed: float
    people: dict[str, str] = field(default_factory=dict)

    def run(self) -> Json:
        began = time.monotonic()
        self._say("Starting the real servers (daphne and qcluster) on an empty data folder")
        with installation(self.folder / "data") as running:
            app = App(running.url, running.manage("devtoken", UID, "--name", self.material.user).strip())
            self._enrol(app)
            others = self._other_memories(app)
            pcm = materials.pcm(self.material.recording)
            heard = self._listen(running, app, pcm)
            memory_id = self._created(app)
            live = app.call("GET", f"/v1/memories/{memory_id}")
            self._say("Uploading the recording: POST /v1/memories/{id}/post-processing?emotional_feedback=true")
            second.post_process(self.console, app, memory_id, wav(self.folder / "upload.wav", pcm))
            result = self._collect(app, memory_id, live, heard, others)
            if self.material.reference is CONVERSATION:
                result["second"] = second.run(self.console, running, self.folder)
        result["seconds"] = time.monotonic() - began
        path = self.folder / "report.json"
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False, default=str), encoding="utf-8")
        report.show(self.console, result)
        self._check(result)
        self._say(f"The same as JSON: {path}")
        return result

    def _say(self, text: str) -> None:
        self.console.print(f"[cyan]•[/cyan] {text}")

    def _enrol(self, app: App) -> None:
        if self.material.enrol_user:
            self._say(f"Enrolling the voice of {self.material.user} (the user): POST /v3/upload-audio")
            app.upload("/v3/upload-audio", wav_of(self.folder, self.material.enrol_user))
        for name, samples in self.material.people.items():
            self._say(f"Enrolling {name}, a known person, with a sample")
            person = app.call("POST", "/v1/users/people", json={"name": name})
            self.people[name] = person["id"]
            app.upload(f"/v1/users/people/{person['id']}/samples", wav_of(self.folder, samples))

    def _other_memories(self, app: App) -> list[str]:
        self._say(f"Giving the user {len(materials.OTHER_MEMORIES)} older memories: POST /v1/memories")
        ids = []
        for index, talk in enumerate(materials.OTHER_MEMORIES):
            started = datetime.now(UTC) - timedelta(days=index + 1)
            segments = [
                {
                    "text": text,
                    "speaker": f"SPEAKER_{0 if mine else 1:02d}",
                    "is_user": mine,
                    "start": n * 8.0,
                    "end": n * 8.0 + 7,
                }
                for n, (mine, text) in enumerate(talk)
            ]
            body = {
                "started_at": started.isoformat(),
                "finished_at": (started + timedelta(seconds=20)).isoformat(),
                "transcript_segments": segments,
                "language": "en",
            }
            answer = app.call("POST", "/v1/memories?trigger_integrations=false", json=body)
            ids.append(answer["memory"]["id"])
        return ids

    def _listen(self, running: Installation, app: App, pcm: bytes) -> Heard:
        seconds = len(pcm) / 2 / materials.RATE
        self._say(f"Streaming {seconds:.0f} s to /listen at up to {self.speed:g} times real time")

        def show(segment: Json) -> None:
            who = report.name_of(segment, self._names())
            self.console.print(
                f"   [dim]{segment['start']:6.1f}[/dim] [bold]{who}[/bold]: {segment['text']}", highlight=False
            )

        heard = stream(running.url, app.token, pcm, speed=self.speed, on_segment=show)
        if not heard.segments:
            raise DemoError("No segment came back on the socket")
        return heard

    def _names(self) -> dict[str, str]:
        return {"user": self.material.user, **{identity: name for name, identity in self.people.items()}}

    def _created(self, app: App) -> str:
        self._say("Socket closed; waiting for new_memory_created")
        event = app.wait_for_event({"new_memory_created", "new_memory_create_failed"}, 0, 240, lambda event: None)
        while event["type"] == "new_memory_created" and not event.get("processing_memory_id"):
            event = app.wait_for_event(
                {"new_memory_created", "new_memory_create_failed"}, event["event_number"], 240, lambda event: None
            )
        if event["type"] != "new_memory_created":
            raise DemoError("The server says new_memory_create_failed")
        return str(event["memory_id"])

    def _collect(self, app: App, memory_id: str, live: Json, heard: Heard, others: list[str]) -> Json:
        memory = app.call("GET", f"/v1/memories/{memory_id}")
        state = app.call("GET", f"/v1/memories/{memory_id}/post-processing")
        searches = []
        for query in materials.SEARCHES if self.material.words else [memory["structured"]["title"]]:
            hits = app.call("POST", "/v1/memories/search", json={"query": query, "limit": 3})["hits"]
            found = [
                {"id": hit["memory"]["id"], "score": hit["score"], "title": hit["memory"]["structured"]["title"]}
                for hit in hits
            ]
            searches.append({"query": query, "expected": memory_id, "hits": found})
        return {
            "memory_id": memory_id,
            "other_memories": others,
            "names": self._names(),
            "memory": memory,
            "live": measured(
                self.material, self.people, live["transcript_segments"], live.get("active_transcript") or "live"
            )
            | {"first_word_seconds": heard.first_word, "socket_seconds": heard.duration},
            "before": live["structured"],
            "post_processed": measured(
                self.material, self.people, memory["transcript_segments"], memory.get("active_transcript") or ""
            ),
            "emotions": app.call("GET", f"/v1/memories/{memory_id}/emotions"),
            "searches": searches,
            "gained": gained.collect(app, str(searches[0]["query"])),
            "steps": state["steps"],
            "note": NOTE,
        }

    def _check(self, result: Json) -> None:
        """Every stage must have really happened."""
        memory = result["memory"]
        if memory["postprocessing"]["status"] != "completed":
            raise DemoError(f"The memory says that its post-processing is {memory['postprocessing']['status']}")
        if not memory["structured"]["title"] or not memory["structured"]["overview"]:
            raise DemoError("The memory has no title or overview")
        if not result["emotions"]["spans"]:
            raise DemoError("No emotion was measured")
        for search in result["searches"]:
            if not search["hits"] or search["hits"][0]["id"] != search["expected"]:
                raise DemoError(f"The search {search['query']!r} did not find the conversation first")
        if self.material.reference is None:
            return
        missed = faults(self.material.reference, result["post_processed"], memory["structured"], live=result["live"])
        missed += [f"second conversation: {fault}" for fault in result.get("second", {}).get("faults", [])]
        if missed:
            raise DemoError("What it promises did not hold: " + "; ".join(missed))


NOTE = (
    "Heard by Whisper base on this machine. These voices are synthetic and plain: real speech is heard with more "
    "errors (docs/benchmarks.md). A larger model (OMI_SPEECH_MODEL, manage.py models) or a vendor hears better."
)
