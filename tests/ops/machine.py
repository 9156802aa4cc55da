"""The host of the deployment as root sees it: stand-ins for systemd's programs in a folder that comes first on PATH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from demo.servers import ROOT, Installation
from tests.ops import stand_ins
from tests.ops.deployment import until

WEB, WORKER = "omi-web", "omi-worker"
OTHERS = (
    "postgresql", "postgresql@17-main", "prometheus", "prometheus-alertmanager", "prometheus-blackbox-exporter",
    "caddy", "systemd-timesyncd", "omi-backup", "omi-backup.timer",
)  # fmt: skip
"""Other units that the pages name: nothing runs behind them here."""
KERNEL = (
    "kernel: python invoked oom-killer: gfp_mask=0x140cca, order=0, oom_score_adj=0",
    "kernel: Out of memory: Killed process 4242 (python) total-vm:9000000kB, UID:999 oom_score_adj:0",
    "kernel: I/O error, dev nvme0n1, sector 2048 op 0x1:(WRITE) flags 0x800",
    "kernel: EXT4-fs (nvme0n1p1): Remounting filesystem read-only",
)
"""What Linux says where memory is at an end, and where a disk fails."""


@dataclass(frozen=True)
class Machine:
    """The stand-ins in ``folder``, and the installation whose two processes are their units."""

    folder: Path
    installation: Installation

    @property
    def environment(self) -> dict[str, str]:
        """What root's shell has: nothing of the servers' settings."""
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "HOME": os.environ.get("HOME", "/root"), "LANG": "C.UTF-8"}

    def systemctl(self, *words: str) -> None:
        subprocess.run([self.folder / "systemctl", *words], env=self.environment, check=True, timeout=60)

    def lives(self, unit: str) -> bool:
        return stand_ins.runs(self._units()[unit])

    def ready(self, unit: str) -> None:
        """Wait until what was started is at work."""
        assert self.lives(unit)
        if unit == WEB:
            until(self._answers, 60, "the web server does not answer after its start")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.installation.url}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def _units(self) -> dict[str, Any]:
        units: dict[str, Any] = json.loads((self.folder / "units.json").read_text())
        return units


@contextmanager
def machine(folder: Path, installation: Installation, past: Mapping[str, Sequence[str]]) -> Iterator[Machine]:
    """Put the stand-ins into ``folder``; ``past``: lines that the log of a unit begins with. What they started is
    stopped at the end."""
    program = Path(stand_ins.__file__).read_text()
    for name in stand_ins.STAND_INS:
        file = folder / name
        file.write_text(f"#!{sys.executable} -SE\n{program}")
        file.chmod(0o755)
    units: dict[str, dict[str, Any]] = {name: {"runs": True} for name in OTHERS}
    for name, pid, log in (
        (WEB, installation.web_pid, "web.log"), (WORKER, installation.worker_pid, "worker.log")
    ):  # fmt: skip
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        units[name] = {
            "runs": True, "pid": pid, "argv": [word.decode() for word in words], "cwd": str(ROOT),
            "environment": installation.environment, "log": str(installation.folder / log),
        }  # fmt: skip
    (folder / "units.json").write_text(json.dumps(units))
    (folder / "kernel").write_text("\n".join(KERNEL))
    for name, lines in past.items():
        (folder / f"{name}.past").write_text("\n".join(lines))
    found = Machine(folder, installation)
    began = {installation.web_pid, installation.worker_pid}
    try:
        yield found
    finally:
        for unit in found._units().values():
            if "pid" in unit and unit["pid"] not in began:
                stand_ins.stop(unit)
        shutil.rmtree(folder, ignore_errors=True)
