"""``manage.py demo``: one recorded conversation through every room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from demo.material import bundled, own
from demo.run import UID, Demo
from demo.servers import DemoError


class Command(BaseCommand):
    help = "Carry a recorded conversation from /listen to a post-processed memory and print a report."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--audio", type=Path, help="a recording of your own, in any format that PyAV reads")
        parser.add_argument("--enrol", type=Path, help="a recording of your own voice alone, 5-180 s")
        parser.add_argument("--speed", type=float, default=2.0, help="how many times faster than real time to stream")

    def handle(self, *, audio: Path | None, enrol: Path | None, speed: float, **options: Any) -> None:
        from rich.console import Console

        folder = settings.BASE_DIR / "var" / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        console = Console()
        try:
            Demo(console, folder, own(audio, enrol) if audio else bundled(), speed).run()
        except DemoError as error:
            raise CommandError(f"The demo stopped: {error}") from error
        login = (folder / "data" / "staff.txt").read_text(encoding="utf-8").split()
        console.print(
            f"\nLook at it in the browser: OMI_DATA_DIR={folder / 'data'} make serve, then "
            f"http://127.0.0.1:{settings.OMI_PORT}/app for the user's pages (the token is what "
            f"OMI_DATA_DIR={folder / 'data'} manage.py devtoken {UID} prints), "
            f"/admin/ (login {login[0]} / {login[1]}) and /docs for the API."
        )
