"""One interpreter with Django for many questions to an installation: starting one takes a second and more of a core."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from tests.support.migrated import ROOT

DRIVER = """
import contextlib, io, json, sys, traceback
import django
django.setup()
from django.db import close_old_connections
out, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    names, printed = {"answer": None}, io.StringIO()
    try:
        close_old_connections()
        with contextlib.redirect_stdout(printed):
            exec(json.loads(line), names)
        said = {"answer": names["answer"], "printed": printed.getvalue()}
    except BaseException:
        said = {"error": traceback.format_exc()[-2000:]}
    print(json.dumps(said), file=out, flush=True)
"""


class Interpreter:
    """Started at the first question, in ``environment``; it reads the settings anew after ``close``."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def answer(self, code: str, *, timeout: float = 60.0) -> Any:
        """Run code; what it assigns to ``answer`` (JSON)."""
        return self._ask(code, timeout)["answer"]

    def printed(self, code: str, *, timeout: float = 60.0) -> str:
        """Run code; what it prints."""
        return str(self._ask(code, timeout)["printed"])

    def _ask(self, code: str, timeout: float) -> dict[str, Any]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-c", DRIVER], cwd=ROOT, env=self._environment, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(code).encode() + b"\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        assert ready, f"no answer within {timeout} s"
        done: dict[str, Any] = json.loads(self._process.stdout.readline() or b'{"error": "the interpreter ended"}')
        assert "error" not in done, done["error"]
        return done

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
