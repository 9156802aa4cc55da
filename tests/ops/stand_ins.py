"""Programs of root on a host with systemd, as the runbooks use them: each is a copy of this file, called by its name.

``units.json`` beside it says which units there are, with their process and log. ``systemctl`` really stops and starts
those that have a process; ``journalctl`` prints their log, and before it the file ``UNIT.past``: what a bad day left
there. An option, a unit or a span of time that the real program would refuse is refused, with its exit status.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(sys.argv[0]).resolve().parent
UNITS = HERE / "units.json"
ROOTS_OWN = ("PATH", "HOME", "LANG", "TERM")
"""What ``sudo`` leaves of the environment (``env_reset``): none of the servers' settings."""
SPAN = re.compile(r"-\d+ ?(s|m|min|h|d)$")
STAND_STILL = "STAND_STILL"
"""A variable with which ``systemctl`` lets processes be: a start takes seconds."""
STOPPED, UNKNOWN = 3, 5
"""Exit status of ``systemctl status`` for a unit that does not run, and of most verbs for one that is not there."""


def systemctl(words: list[str]) -> int:
    verb, units = words[0], json.loads(UNITS.read_text())
    asked = [name for pattern in words[1:] for name in _matching(pattern, units)]
    for name in asked:
        if name not in units:
            print(f"Unit {name}.service could not be found.", file=sys.stderr)
            return 4 if verb == "status" else UNKNOWN
    if verb == "status":
        return max([_status(name, units[name]) for name in asked])
    if verb not in ("start", "stop", "restart", "reload"):
        print(f"Unknown command verb '{verb}'.", file=sys.stderr)
        return 1
    for name in asked:
        if verb in ("stop", "restart"):
            stop(units[name])
        if verb in ("start", "restart"):
            _start(units[name])
    UNITS.write_text(json.dumps(units))
    return 0


def _matching(pattern: str, units: dict[str, Any]) -> list[str]:
    """``NAME``, or the units that a pattern with a star at its end matches: none is no error."""
    name = pattern.removesuffix(".service")
    return [unit for unit in units if unit.startswith(name[:-1])] if name.endswith("*") else [name]


def _status(name: str, unit: dict[str, Any]) -> int:
    lives = runs(unit)
    print(f"{'●' if lives else '○'} {name}.service\n     Active: {'active (running)' if lives else 'inactive (dead)'}")
    print("\n".join(_lines(name, unit)[-10:]))
    return 0 if lives else STOPPED


def runs(unit: dict[str, Any]) -> bool:
    """Whether its process lives; one that has ended and that nobody waited for does not."""
    if "argv" not in unit:
        return bool(unit["runs"])
    try:
        return Path(f"/proc/{unit['pid']}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def stop(unit: dict[str, Any]) -> None:
    """SIGTERM, and what is left after a while is killed with its whole group (``KillMode=mixed``)."""
    unit["runs"] = False
    if "argv" not in unit or STAND_STILL in os.environ:
        return
    if runs(unit):
        os.kill(unit["pid"], signal.SIGTERM)
    until = time.monotonic() + 20
    while runs(unit) and time.monotonic() < until:
        time.sleep(0.05)
    try:
        os.killpg(unit["pid"], signal.SIGKILL)
    except ProcessLookupError:
        pass


def _start(unit: dict[str, Any]) -> None:
    unit["runs"] = True
    if "argv" not in unit or STAND_STILL in os.environ or runs(unit):
        return
    with Path(unit["log"]).open("ab") as log:
        process = subprocess.Popen(
            unit["argv"], cwd=unit["cwd"], env=unit["environment"], stdout=log, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    unit["pid"] = process.pid


def journalctl(words: list[str]) -> int:
    units, found = json.loads(UNITS.read_text()), list[str]()
    left = list(words)
    while left:
        option = left.pop(0)
        if option == "-k":
            found += (HERE / "kernel").read_text().splitlines()
        elif option == "-u":
            for name in _matching(left.pop(0), units):  # of a unit that is not there the real one has no entries either
                found += _lines(name, units.get(name, {}))
        elif option == "--since":
            if not SPAN.match(span := left.pop(0)):
                print(f"Failed to parse timestamp: {span}", file=sys.stderr)
                return 1
        else:
            print(f"journalctl: unrecognized option '{option}'", file=sys.stderr)
            return 1
    print("\n".join(found) or "-- No entries --")
    return 0


def _lines(name: str, unit: dict[str, Any]) -> list[str]:
    past, log = HERE / f"{name}.past", Path(unit.get("log") or os.devnull)
    lines = (past.read_text().splitlines() if past.exists() else []) + log.read_text(errors="replace").splitlines()
    return [f"Nov 30 10:00:00 host python[1]: {line}" for line in lines]


def timedatectl(words: list[str]) -> int:
    if words != ["status"]:
        print(f"Unknown command verb '{' '.join(words)}'.", file=sys.stderr)
        return 1
    print("System clock synchronized: no\n              NTP service: inactive")
    return 0


def sudo(words: list[str]) -> int:
    """``sudo -u USER COMMAND``: as the same user, but with root's environment and not the caller's."""
    if words[:1] != ["-u"] or words[1] not in ("omi", "postgres"):
        print("sudo: unknown user", file=sys.stderr)
        return 1
    return subprocess.run(
        words[2:], env={name: os.environ[name] for name in ROOTS_OWN if name in os.environ}
    ).returncode


def psql(words: list[str]) -> int:
    """Only that it was called with one statement; ``test_statements_are_postgresql`` sends it to a real server."""
    if len(words) != 2 or words[0] != "-c":
        return 1
    print(" count | state\n-------+--------\n    12 | active\n(1 row)")
    return 0


STAND_INS = {function.__name__: function for function in (systemctl, journalctl, timedatectl, sudo, psql)}

if __name__ == "__main__":
    sys.exit(STAND_INS[Path(sys.argv[0]).name](sys.argv[1:]))
