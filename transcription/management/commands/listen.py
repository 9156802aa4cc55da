"""``manage.py listen FILE``: stream a recording to ``/listen`` as the app would and print what comes back."""

from __future__ import annotations

import asyncio
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from omi.accounts.tokens import mint
from omi.core.errors import OwnFault
from transcription.audio.convert import AudioError, AudioLimits, decode_to_wav
from transcription.client import Closed, ListenClient, encode


class Command(BaseCommand):
    help = "Stream a recording to /listen as the app would, and print what comes back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--url", default=f"ws://127.0.0.1:{settings.OMI_PORT}")
        parser.add_argument("--codec", choices=("pcm8", "pcm16", "opus", "opus_fs320"), default="opus")
        parser.add_argument("--speed", type=float, default=1.0, help="times real time; 0: as fast as it goes")
        parser.add_argument("--uid", default="listen-command", help="whose token to mint when --token is not given")
        parser.add_argument("--token")
        parser.add_argument("--language", default="en")
        parser.add_argument("--wait", type=float, default=120.0, help="seconds to wait for the memory after the audio")
        parser.add_argument("--no-memory", action="store_true", help="only transcribe")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["file"].is_file():
            raise CommandError(f"There is no file {options['file']}.")
        token = options["token"] or mint(options["uid"])
        with tempfile.TemporaryDirectory() as folder:
            wav = Path(folder) / "audio.wav"
            try:
                info = decode_to_wav(options["file"], wav, limits=AudioLimits())
            except AudioError as error:
                raise CommandError(error.sentence) from error
            except OwnFault as error:
                raise CommandError(f"{error.message}.") from error
            frames = encode(wav, options["codec"])
            self.stdout.write(f"{info.seconds:.1f} s, {len(frames)} frames of {options['codec']}")
            client = ListenClient(
                options["url"],
                token,
                codec=options["codec"],
                language=options["language"],
                watch=not options["no_memory"],
                on_message=self._show,
            )
            expect = None if options["no_memory"] else "new_memory_created"
            try:
                ended = asyncio.run(client.run(frames, speed=options["speed"], expect=expect, wait=options["wait"]))
            except Closed as error:
                raise CommandError(str(error)) from error
            except OSError as error:
                raise CommandError(f"Nobody answers at {options['url']}. Is the server running?") from error
        if expect and not ended:
            raise CommandError(f"No {expect} within {options['wait']:.0f} s. Is a worker running (manage.py serve)?")

    def _show(self, message: Any) -> None:
        if isinstance(message, list):
            for item in message:
                who = "User" if item.get("is_user") else item.get("speaker")
                self.stdout.write(f"[{item['start']:7.2f} - {item['end']:7.2f}] {who}: {item['text']}")
        elif message.get("type") != "ping":
            shown = {key: value for key, value in message.items() if key not in ("memory", "messages", "event_type")}
            self.stdout.write(str(shown))
