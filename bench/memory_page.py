"""How long support waits for a memory's page: 50 runs of 50 attempts each, 2,000 segments, two versions, revealed.

    python -m bench.memory_page [--rounds 10] [--keep FOLDER]

Builds the memory in a throw-away data folder (or in FOLDER, to look at it), asks for the page in this process, and
prints milliseconds and queries.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import statistics
import struct
import tempfile
import time
import wave
from datetime import UTC, datetime, timedelta
from typing import Any

UID, MEMORY = "bench-user", "bench-memory"
TALK = (
    "we should look at the budget again before the end of the week",
    "I told them that the delivery comes on Thursday and not earlier",
    "can you send me the notes of the last meeting please",
    "that is what the doctor said and I think it is right",
    "the train was late again so we missed the first half of it",
)


def segments_of(count: int, *, changed: int = 0) -> list[Any]:
    """``count`` segments of three voices; every ``changed``-th says something else."""
    from transcription.segments import Segment

    made = []
    for index in range(count):
        text = TALK[index % len(TALK)]
        if changed and index % changed == 0:
            text = text.replace("the", "a", 1).replace("again", "once more", 1)
        made.append(
            Segment(
                id=f"s{index}", text=text, speaker=f"SPEAKER_0{index // 3 % 3}", is_user=index // 3 % 3 == 0,
                start=index * 3.6, end=index * 3.6 + 3.1,
            )
        )  # fmt: skip
    return made


def recording(seconds: float, rate: int = 16000) -> bytes:
    """A WAV in which the loudness rises and falls as in a talk."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        block = bytearray()
        for at in range(int(seconds * 50)):
            loud = int(9000 * abs(math.sin(at / 41)) * (0.2 + abs(math.sin(at / 7))))
            block += struct.pack("<h", loud if at % 2 else -loud) * (rate // 50)
        file.writeframes(bytes(block))
    return out.getvalue()


def build(*, runs: int = 50, attempts: int = 50, segments: int = 2000, seconds: float = 60.0) -> Any:
    """The memory and everything that hangs on it. Returns its MemoryRow."""
    from emotions.base import EmotionScore, EmotionSpan, EmotionTimeline
    from memories.models import MemoryRow
    from memories.repository import emotions, memories, transcripts
    from memories.shapes import Memory, Structured
    from omi.stores import audio
    from speakers import people
    from speakers.models import SpeakerDecision

    began = datetime.now(UTC) - timedelta(hours=8)
    shown = segments_of(segments)
    memories.create_memory(
        UID,
        Memory(
            id=MEMORY, created_at=began, started_at=began, finished_at=began + timedelta(minutes=20), language="en",
            structured=Structured(title="Budget and delivery", overview="What was agreed on the budget.", emoji="📦"),
            transcript_segments=shown, active_transcript="soniox_streaming",
            active_version=transcripts.content_hash(shown),
        ),
    )  # fmt: skip
    transcripts.save_transcript(UID, MEMORY, "soniox_streaming", shown, {"source": "live"})
    figures = {"words": 24000.0, "coverage": 0.91, "length_ratio": 0.97, "made_up": 0.02, "agreement": 0.88}
    reasons = ["the new transcript leaves out much of what is said"]
    meta = {"source": "prerecorded", "accepted": False, "reasons": reasons, "figures": figures}
    transcripts.save_transcript(UID, MEMORY, "fal_whisperx", segments_of(segments, changed=9), meta)
    spans = [
        EmotionSpan(
            start=at * 6.0, end=at * 6.0 + 5,
            emotions=[EmotionScore(name=name, score=abs(math.sin(at / (4 + index)))) for index, name in
                      enumerate(("calmness", "interest", "joy", "doubt", "tiredness", "anxiety", "surprise"))],
        )
        for at in range(min(200, max(1, segments // 2)))
    ]  # fmt: skip
    emotions.save_emotions(UID, MEMORY, EmotionTimeline(vendor="local", model="prosody", kind="estimate", spans=spans))
    anna = people.create_person(UID, "Anna")
    for voice, person, reason in (("SPEAKER_00", "", "accepted"), ("SPEAKER_01", "", "below_threshold")):
        SpeakerDecision.objects.create(
            uid=UID, memory_id=MEMORY, voice=voice, is_user=voice == "SPEAKER_00", person_id=person, reason=reason,
            probability=0.981 if voice == "SPEAKER_00" else 0.71, score=0.81 if voice == "SPEAKER_00" else 0.62,
            best="user" if voice == "SPEAKER_00" else anna.id, runner_up=anna.id, runner_up_score=0.58, margin=0.23,
            evidence_seconds=48.2, facts={"bar": 0.95, "coverage": 0.4, "provisional": False}, engine="campplus",
            engine_version="1",
        )  # fmt: skip
    kept = audio.put(UID, "recording", recording(seconds), memory_id=MEMORY, keep_for=timedelta(hours=20))
    _history(began, runs, attempts, kept.name)
    return MemoryRow.objects.get(uid=UID, memory_id=MEMORY)


def _history(began: datetime, runs: int, attempts: int, recorded: str) -> None:
    """Runs that failed at the vendor, the last one after two steps that were reused."""
    from memories.pipeline.engine import plans
    from memories.pipeline.models import PostProcessingRun, RunEvent, RunStep, StepAttempt, VendorCall

    for number in range(runs):
        at = began + timedelta(minutes=8 * number)
        run = PostProcessingRun.objects.create(
            uid=UID, memory_id=MEMORY, kind="postprocess", state="finished", outcome="upstream_error",
            actor="user:bench", message_id="vendor_unavailable", plan=plans.plan_for("postprocess"),
            current_step="transcribe",
            created_at=at, started_at=at + timedelta(seconds=3), finished_at=at + timedelta(minutes=6),
            dead_letter=True, total_claims=attempts, options={"emotional_feedback": False}, audio=recorded,
        )  # fmt: skip
        PostProcessingRun.objects.filter(pk=run.pk).update(created_at=at)
        steps = [RunStep(run=run, name=name, position=place) for place, name in enumerate(run.plan)]
        steps[0].state, steps[0].outcome, steps[0].seconds, steps[0].attempts = "done", "success", 3.2, 1
        steps[0].started_at, steps[0].finished_at = at + timedelta(seconds=3), at + timedelta(seconds=6)
        steps[0].output = {"seconds": 1200.0, "speech_seconds": 960.5, "silence": False, "audio": "abc.wav"}
        steps[1].state, steps[1].outcome, steps[1].seconds = "failed", "upstream_error", 340.0
        steps[1].attempts, steps[1].checkpoint = attempts, {"submitted_at": at.timestamp(), "given_up": {"fal": {}}}
        steps[1].started_at, steps[1].finished_at = at + timedelta(seconds=6), at + timedelta(minutes=6)
        RunStep.objects.bulk_create(steps)
        made = {item.name: item for item in RunStep.objects.filter(run=run)}
        each = 340 / max(1, attempts)
        tries, calls = [], []
        for index in range(attempts):
            start = at + timedelta(seconds=6 + index * each)
            tries.append(
                StepAttempt(
                    step=made["transcribe"], number=index + 1, fence=index, worker="worker-1", started_at=start,
                    finished_at=start + timedelta(seconds=each * 0.6), seconds=each * 0.6, vendor="fal_whisperx",
                    result="failed" if index == attempts - 1 else "retry", outcome="upstream_error",
                    error_kind="transient", error_code="503", message_id="vendor_unavailable",
                    detail="the vendor answered 503 Service Unavailable",
                )
            )  # fmt: skip
            calls.append(
                VendorCall(
                    run=run, step="transcribe", fence=index, vendor="fal_whisperx", operation="transcribe",
                    request_key="k", started_at=start, latency=each * 0.5, outcome="upstream_error", error_code="503",
                    reference=f"req-{run.pk}-{index}", audio_seconds=1200, cost=0.002,
                )
            )  # fmt: skip
        tries.append(
            StepAttempt(
                step=made["prepare_audio"], number=1, fence=1, worker="worker-1", started_at=at + timedelta(seconds=3),
                finished_at=at + timedelta(seconds=6), seconds=3.2, result="done", outcome="success",
            )
        )  # fmt: skip
        StepAttempt.objects.bulk_create(tries)
        VendorCall.objects.bulk_create(calls)
        RunEvent.objects.bulk_create(
            RunEvent(run=run, at=at, type=kind, actor="pipeline") for kind in ("created", "claimed", "finished")
        )


def client_for(row: Any) -> Any:
    """A browser of a staff member who may do everything, with the words of ``row`` revealed."""
    from django.contrib.auth.models import User
    from django.test import Client

    user = User.objects.filter(username="bench").first() or User.objects.create_superuser("bench", password="bench")
    client = Client()
    client.force_login(user)
    client.post(f"/admin/memories/memoryrow/{row.pk}/reveal/", {"reason": "bench"})
    return client


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--keep", default="", help="a data folder that stays")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OMI_DATA_DIR"] = chosen.keep or folder
        os.environ.setdefault("OMI_LOG_LEVEL", "ERROR")
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "omi.settings")
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "testserver"]
        call_command("migrate", verbosity=0)
        row = build()
        client = client_for(row)
        address = f"/admin/memories/memoryrow/{row.pk}/change/"
        client.get(address)  # templates are compiled once
        took, size, busy = [], 0, time.process_time()
        for _ in range(chosen.rounds):
            with CaptureQueriesContext(connection) as queries:
                start = time.perf_counter()
                size = len(client.get(address).content)
                took.append(1000 * (time.perf_counter() - start))
        processor = 1000 * (time.process_time() - busy) / chosen.rounds
        print(
            f"50 runs of 50 attempts, 2,000 segments, revealed: median {statistics.median(took):.0f} ms, best "
            f"{min(took):.0f}, worst {max(took):.0f}; processor {processor:.0f} "
            f"ms; {len(queries)} queries; {size / 1000:.0f} kB"
        )


if __name__ == "__main__":
    main()
