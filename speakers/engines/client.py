"""The calling side of ``worker``: starts the child when it is first needed, restarts a dead one, ends a stuck one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omi.core import child_process
from omi.core.errors import ErrorKind, MissingDependency, Outcome, ProviderError
from speakers.engines.worker import LARGEST, read_message, write_message

VENDOR = "voices"
START_TIMEOUT = 60.0
SHORTEST_TIMEOUT = 30.0
SLOWEST = 3.0
"""Times real time. Embedding and detection run at 15 or more on one core; a loaded machine gets five times that."""


class WorkerClient:
    """One child process. Thread-safe: calls queue for it. A forked copy starts a child of its own.

    ``model``: .onnx file for sherpa-onnx; without one the built-in engine runs.
    """

    def __init__(self, model: str = "") -> None:
        self._arguments = ["--model", model] if model else []
        self._child = child_process.KeptChild("speakers.engines.worker", *self._arguments, cwd=child_process.ROOT)
        self.hello: dict[str, Any] = {}

    def describe(self) -> dict[str, Any]:
        """Return ``name``, ``version`` and ``dimension`` of the engine; starts the child if that is not known yet."""
        if not self.hello:
            with self._child.lock:
                if not self.hello:
                    self._start()
        return self.hello

    def embed(self, pcm: NDArray[np.int16], segments: list[tuple[float, float]]) -> NDArray[np.float32]:
        header, payload = self._call({"op": "embed", "segments": segments}, pcm)
        return np.frombuffer(payload, "<f4").reshape(header["rows"], header["columns"]).astype(np.float32)

    def speech(self, pcm: NDArray[np.int16]) -> list[tuple[float, float]]:
        header, _ = self._call({"op": "speech"}, pcm)
        return [(float(start), float(end)) for start, end in header["regions"]]

    def close(self) -> None:
        with self._child.lock:
            self._child.end()

    def _call(self, header: dict[str, Any], pcm: NDArray[np.int16]) -> tuple[dict[str, Any], bytes]:
        """Send and wait. ProviderError: transient when the child died or was too slow, permanent when it refused, or
        the audio is longer than a message may be."""
        audio = np.ascontiguousarray(pcm, dtype="<i2")
        if audio.nbytes > LARGEST:
            raise ProviderError(
                VENDOR,
                f"a recording of {len(audio) / 16_000 / 3600:.1f} hours is too long for the voice engine",
                kind=ErrorKind.PERMANENT,
                code="too_long",
                outcome=Outcome.INVALID_INPUT,
            )
        # Windows overlap when a recording is diarized: then more is embedded than was sent.
        embedded = sum(max(0.0, end - start) for start, end in header.get("segments", []))
        timeout = SHORTEST_TIMEOUT + max(len(audio) / 16_000, embedded) / SLOWEST
        with self._child.lock:
            reply = self._exchange(header, audio, timeout)
            if reply is None:  # idle children end themselves: one fresh start, then it is a failure
                reply = self._exchange(header, audio, timeout)
        if reply is None:
            raise ProviderError(VENDOR, "the voice engine stopped", kind=ErrorKind.TRANSIENT, code="worker_died")
        if "error" in reply[0]:
            raise ProviderError(VENDOR, str(reply[0]["error"]), kind=ErrorKind.PERMANENT, code="engine")
        return reply

    def _exchange(
        self, header: dict[str, Any], audio: NDArray[np.int16], timeout: float
    ) -> tuple[dict[str, Any], bytes] | None:
        process = self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        with child_process.killed_after(process, timeout) as late:
            try:
                write_message(process.stdin, header, audio.view(np.uint8).data)
                reply = read_message(process.stdout)
            except (OSError, EOFError, ValueError):
                reply = None
        if late.is_set():
            self._child.end()
            raise ProviderError(
                VENDOR, f"the voice engine took longer than {timeout:.0f} s", kind=ErrorKind.TRANSIENT, code="timeout"
            )
        if reply is None:
            self._child.end()
        return reply

    def _start(self) -> subprocess.Popen[bytes]:
        process, fresh = self._child.running()
        if not fresh:
            return process
        assert process.stdout is not None
        with child_process.killed_after(process, START_TIMEOUT):
            try:
                message = read_message(process.stdout)
            except (EOFError, ValueError):
                message = None
        if message is None:
            code = _exit_code(process)
            self._child.end()
            raise _not_started(code, self._arguments)
        if "error" in message[0]:
            self._child.end()
            raise MissingDependency(VENDOR, "the voice engine", str(message[0]["error"]))
        self.hello = message[0]
        return process


def _exit_code(process: subprocess.Popen[bytes]) -> int | None:
    """How a child ended that said nothing; None where it has not ended."""
    try:
        return process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        return None


def _not_started(code: int | None, arguments: list[str]) -> ProviderError:
    sentence = "the voice engine did not start"
    if not child_process.may_start_later(code):
        what = f" with {Path(arguments[1]).name!r}" if arguments else ""
        sentence = f"the voice engine ended while it started{what} (code {code}); its last words are in the log"
    return child_process.not_started(VENDOR, code, sentence)
