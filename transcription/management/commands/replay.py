"""``manage.py replay SESSION``: feed a session's journal to the live vendors again and print what they hear now."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from omi.core.providers import many
from transcription import journal
from transcription.audio.codecs import BYTES_PER_SECOND
from transcription.audio.vad import SpeechGate
from transcription.journal.reader import seconds_on_disk
from transcription.journal.store import Entry
from transcription.segments import Segment, render
from transcription.session.supervisor import Supervisor, eligible
from transcription.session.window import AudioWindow
from transcription.vendors.circuit_breaker import breaker_for

FINISH_SECONDS = 600.0


class Command(BaseCommand):
    help = "Feed a session's journal to the live vendors again and print each one's transcript. Nothing is stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("session", nargs="?", help="session id; without it the journals are listed")
        parser.add_argument("--speed", type=float, default=4.0, help="times real time; 0: as fast as it goes")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["session"]:
            for entry in journal.sessions():
                seconds = seconds_on_disk(entry)
                self.stdout.write(f"{entry.session_id}  {entry.meta.started_at}  {seconds:8.1f} s  {entry.meta.state}")
            return
        found = journal.find(options["session"])
        if found is None:
            raise CommandError("there is no journal of that session")
        for model, segments in asyncio.run(_replay(found, options["speed"])).items():
            self.stdout.write(f"--- {model}\n{render(segments)}\n")


async def _replay(entry: Entry, speed: float) -> dict[str, list[Segment]]:
    window = AudioWindow(entry)
    gate = SpeechGate() if settings.OMI_VAD_GATE else None
    supervisor = Supervisor(
        eligible(many("live"), entry.meta.language),
        window,
        gate,
        mode=settings.OMI_LIVE_MODE,
        language=entry.meta.language,
        vocabulary=(),
        session_id=entry.session_id,
        breaker=breaker_for,
        on_words=lambda words, model: None,
        on_status=lambda status, provider, reason, retryable: None,
    )
    supervisor.start()
    with journal.Reader(entry) as reader:
        while piece := await asyncio.to_thread(reader.read, 0.1):
            if gate is not None:
                gate.feed(piece)
            window.append(piece)
            supervisor.wake()
            await asyncio.sleep(len(piece) / BYTES_PER_SECOND / speed if speed > 0 else 0)
    window.closed = True
    await supervisor.finish(FINISH_SECONDS)
    return supervisor.transcripts(entry.session_id)
