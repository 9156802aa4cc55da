"""``manage.py simulate``: simulated vendors, an outage of one, and incidents for support staff to practise on."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from omi.management import incidents


class Command(BaseCommand):
    help = (
        "`simulate vendors` runs loopback twins of all vendors; `simulate outage VENDOR KIND` makes one of them fail; "
        "`simulate incident N` prepares an incident for support staff on a data folder that is gone afterwards."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        vendors = what.add_parser("vendors", help="run them until Ctrl-C; prints the environment to export")
        vendors.add_argument("--port", type=int, default=9900)
        vendors.add_argument("--truth", action="append", help="JSON beside a recording that the speech vendors know")
        outage = what.add_parser("outage", help="inject a fault into running simulated vendors")
        outage.add_argument("vendor", nargs="?", default="", help="deepgram, soniox, fal ...")
        outage.add_argument("kind", nargs="?", default="", help="refuse, drop, stall ... (demo/vendors/README.md)")
        outage.add_argument("--times", type=int, default=-1, help="how many requests or connections; all by default")
        outage.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="e.g. status=503")
        outage.add_argument("--port", type=int, default=9900)
        outage.add_argument("--end", action="store_true", help="end all faults of all vendors")

        incident = what.add_parser(
            "incident", help="1 quota, 2 damaged audio, 3 frozen worker, 4 worse text, 5 speaker"
        )
        incident.add_argument("number", type=int, choices=range(1, 6))
        incident.add_argument("--port", type=int, default=8016)
        seed = what.add_parser("seed", help="used by `simulate incident` on its own data folder")
        seed.add_argument("kind", choices=("stuck", "worse", "speaker", "damaged", "many", "changed"))
        seed.add_argument("uid")
        seed.add_argument("memory", help="of many and changed: how many")
        seed.add_argument("--person", default="")

    def handle(self, *, what: str, **options: Any) -> None:
        doing: dict[str, Any] = {
            "vendors": self._vendors,
            "outage": self._outage,
            "incident": self._incident,
            "seed": self._seed,
        }
        doing[what](**options)

    def _incident(self, *, number: int, port: int, **_: Any) -> None:
        if find_spec("aiohttp") is None:
            raise CommandError("The simulated vendors need the test tools: `make packages` installs them.")
        command = [sys.executable, "-m", "demo.incidents", str(number), "--port", str(port)]
        try:
            code = subprocess.run(command, cwd=settings.BASE_DIR, check=False).returncode
        except KeyboardInterrupt:
            return
        if code:
            raise CommandError("The incident was not prepared; what went wrong is above.")

    def _seed(self, *, kind: str, uid: str, memory: str, person: str, **_: Any) -> None:
        if "omi-incident-" not in str(settings.OMI_DATA_DIR) and not settings.OMI_DATA_DIR.name.startswith("incident"):
            raise CommandError("This is for the throw-away folder of `simulate incident` only.")
        if kind == "speaker":
            incidents.speaker(uid, memory, person)
        elif kind in ("many", "changed"):
            {"many": incidents.many, "changed": incidents.changed}[kind](uid, int(memory))
        else:
            {"stuck": incidents.stuck, "worse": incidents.worse, "damaged": incidents.damaged}[kind](uid, memory)

    def _vendors(self, *, port: int, truth: list[str] | None, **_: Any) -> None:
        if find_spec("aiohttp") is None:
            raise CommandError("The simulated vendors need the test tools: `make packages` installs them.")
        bundled = settings.BASE_DIR / "demo" / "recordings" / "conversation.json"
        command = [sys.executable, "-m", "demo.vendors", "--port", str(port), "--export"]
        for file in truth or [str(bundled)]:
            command += ["--truth", file]
        try:
            code = subprocess.run(command, cwd=settings.BASE_DIR, check=False).returncode
        except KeyboardInterrupt:
            return
        if code:
            raise CommandError("The simulated vendors did not start; what they said is above.")

    def _outage(self, *, vendor: str, kind: str, times: int, port: int, end: bool, **options: Any) -> None:
        import httpx

        if not end and not (vendor and kind):
            raise CommandError("Name a vendor and a kind of fault, or --end.")
        fault: dict[str, Any] = {"kind": kind, "times": times}
        for pair in options["set"]:
            name, _, value = pair.partition("=")
            try:
                fault[name] = json.loads(value)
            except ValueError:
                fault[name] = value
        path, body = ("/_sim/reset", {}) if end else ("/_sim/faults", {"vendor": vendor, "faults": [fault]})
        try:
            answer = httpx.post(f"http://127.0.0.1:{port}{path}", json=body, timeout=5)
        except httpx.HTTPError as error:
            raise CommandError(f"Nothing answers on port {port}: run `manage.py simulate vendors` first.") from error
        if answer.status_code >= 300:
            raise CommandError(_said(answer))
        if end:
            self.stdout.write("All faults ended.")
            return
        often = "every request or connection" if times < 0 else f"the next {times}"
        how = ", ".join(f"{name}={value}" for name, value in fault.items() if name not in ("kind", "times"))
        self.stdout.write(f"{vendor}: {kind}{f' ({how})' if how else ''} for {often}.")
        self.stdout.write(f"To end it: manage.py simulate outage --end --port {port}")


def _said(answer: Any) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"The simulator answered {answer.status_code}."
