"""Heavy native code in a child process with a time limit: what crashes or hangs there does not take the worker along.

``call("memories.pipeline.child_jobs.speech", {...})`` imports the function in a fresh interpreter (without Django),
hands it the JSON arguments and gives back its JSON answer.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import Any

from omi import child_process
from omi.errors import Outcome, OwnFault


def call(function: str, arguments: dict[str, Any], *, timeout: float) -> Any:
    """Raises OwnFault (transient): the child died, took too long, or said something else than JSON."""
    try:
        done = subprocess.run(
            child_process.command("memories.pipeline.child", function), input=json.dumps(arguments).encode(),
            capture_output=True, timeout=timeout, env=child_process.environment(), check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise OwnFault("the audio work took too long", code="child_timeout", outcome=Outcome.TIMEOUT) from error
    if done.returncode != 0:
        raise OwnFault("the audio work ended unexpectedly", code=f"child_exit_{done.returncode}")
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise OwnFault("the audio work gave no answer", code="child_output") from error


def main() -> None:
    module, _, name = sys.argv[1].rpartition(".")
    arguments = json.load(sys.stdin)
    answer = getattr(importlib.import_module(module), name)(**arguments)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
