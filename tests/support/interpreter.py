"""One interpreter with Django for many questions to an installation: starting one takes a second and more of a core."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from demo import servers
from tests.support.migrated import ROOT

DRIVER = """
import contextlib, gc, io, json, os, runpy, sys, tempfile, traceback
gc.disable()  # until the apps are loaded, as in manage.py
import django
django.setup()
from django.db import close_old_connections, connections
from django.urls import get_resolver
out, sys.stdout = sys.stdout, sys.stderr


commands = 0


def run(words):
    global commands
    commands += 1
    if commands > 1:
        get_resolver().url_patterns  # which the checks before most commands load: half of a start
    connections.close_all()
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told, open(os.devnull) as nothing:
        child = os.fork()
        if child == 0:
            for descriptor, file in enumerate((nothing, said, told)):
                os.dup2(file.fileno(), descriptor)
            sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
            work(words)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        told.seek(0)
        return [code, said.read().decode(), told.read().decode()]


def work(words):
    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = words
            runpy.run_path(words[0], run_name="__main__")
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    sys.exit()


for line in sys.stdin:
    asked, names, printed = json.loads(line), {"answer": None}, io.StringIO()
    try:
        if isinstance(asked, list):
            said = {"answer": run(asked)}
        else:
            close_old_connections()
            with contextlib.redirect_stdout(printed):
                exec(asked, names)
            said = {"answer": names["answer"], "printed": printed.getvalue()}
    except Exception:
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

    def run(self, *words: str, timeout: float = 240.0) -> subprocess.CompletedProcess[str]:
        """Run ``python WORDS`` (``manage.py NAME …`` or ``-m MODULE …``) in a process of its own: a fork of this one,
        with what every command begins with loaded already. Not after code that began threads, as Firestore's client
        does: a fork has none of them."""
        code, out, error = self._ask(list(words), timeout)["answer"]
        return subprocess.CompletedProcess([sys.executable, *words], code, out, error)

    def _ask(self, question: str | list[str], timeout: float) -> dict[str, Any]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-c", DRIVER], cwd=ROOT, env=self._environment, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
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


@pytest.fixture(scope="session", autouse=True)
def installations_fork() -> Iterator[None]:
    """The commands of an ``Installation`` are forks of one interpreter, that of the installation used last."""
    last: dict[str, Interpreter] = {}

    def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        folder = environment["OMI_DATA_DIR"]
        if folder not in last:
            for other in last.values():
                other.close()
            last.clear()
            last[folder] = Interpreter(environment)
        return last[folder].run("manage.py", *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(servers, "command", run)
        yield
    for interpreter in last.values():
        interpreter.close()
