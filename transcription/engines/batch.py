"""Transcribe a recording in a child process, with a time limit: a decoder that crashes or hangs harms nobody else."""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from omi.core import child_process
from omi.core.errors import ErrorKind, Outcome, ProviderError
from transcription.audio.vad import checked_pcm
from transcription.engines.base import MEMORY_MB, not_started
from transcription.engines.process import error_of, worker_command
from transcription.engines.worker import AUDIO, END, HEADER, OPEN
from transcription.segments import Word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FRAME = 1 << 16


def transcribe_in_child(
    audio: Path | NDArray[np.int16],
    engine: str = "whisper",
    folder: Path | None = None,
    *,
    language: str | None = None,
    vocabulary: str = "",
    timeout: float = 3600.0,
    memory_mb: int = MEMORY_MB,
) -> list[Word]:
    """Words of a 16 kHz mono 16-bit WAV file, or of samples, with times in its seconds; empty for silence.

    Blocks (call it from a worker). ProviderError: transient when the child died or took longer than `timeout`
    seconds, permanent when the engine or the audio is at fault.
    """
    options = ["--mode", "batch", "--memory-mb", str(memory_mb), "--nice", "5"]
    wishes = json.dumps({"language": language, "vocabulary": vocabulary}).encode()
    data = b""
    if isinstance(audio, Path):
        options += ["--wav", str(audio)]
    else:
        data = checked_pcm(audio).tobytes()
    frames = [(OPEN, wishes)] + [(AUDIO, data[at : at + _FRAME]) for at in range(0, len(data), _FRAME)] + [(END, b"")]
    sent = b"".join(HEADER.pack(0, kind, len(content)) + content for kind, content in frames)
    # stdout goes to a file: with a pipe, an hour of words and an hour of audio could wait for each other.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            worker_command(engine, folder, *options),
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=errors,
            env=child_process.environment(),
        )
        try:
            with child_process.killed_after(process, timeout) as late:
                _feed_and_wait(process, sent)
        finally:
            child_process.end(process)
        if late.is_set():
            raise _too_late(engine, f"no transcript after {timeout:.0f} s")
        out.seek(0)
        errors.seek(0)
        return _answer(engine, out.read(), process.returncode, errors.read()[-4096:])


@contextlib.contextmanager
def one_at_a_time(lock: Path, engine: str, timeout: float) -> Iterator[float]:
    """Hold `lock`, so that one model for recordings is in the machine's memory at a time; gives the seconds left.

    ProviderError (transient) where others hold it for `timeout` seconds. The lock goes with the process that holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + timeout
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise _too_late(engine, f"other recordings were transcribed for {timeout:.0f} s") from None
                time.sleep(0.2)
        yield max(1.0, until - time.monotonic())


def _too_late(engine: str, sentence: str) -> ProviderError:
    return ProviderError(engine, sentence, kind=ErrorKind.TRANSIENT, code="timeout", outcome=Outcome.TIMEOUT)


def _feed_and_wait(process: subprocess.Popen[bytes], sent: bytes) -> None:
    """Write all audio, keep stdin open (it is the child's life line), wait for the end."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # the child has ended: its answer, or its absence, tells why
        process.stdin.write(sent)
        process.stdin.flush()
    process.wait()


def _answer(engine: str, output: bytes, code: int, errors: bytes) -> list[Word]:
    messages = [json.loads(line) for line in output.splitlines() if line.endswith(b"}")]
    for message in messages:
        if message["type"] == "error":
            raise error_of(engine, message)
    if not messages or messages[-1]["type"] != "done":
        detail = errors.decode(errors="replace").strip().rsplit("\n", 1)[-1][:200]
        if not messages:
            raise not_started(engine, code, detail)
        sentence = "the speech engine's process ended unexpectedly" + (f" ({detail})" if detail else "")
        raise ProviderError(engine, sentence, kind=ErrorKind.TRANSIENT, code=f"exit {code}")
    words = [message["words"] for message in messages if message["type"] == "final"]
    return [Word.model_validate(word) for group in words for word in group]
