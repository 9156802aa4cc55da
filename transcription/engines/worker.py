"""The child process that recognises speech: `python -m transcription.engines.worker --engine pocketsphinx`.

stdin: frames of a 4-byte little-endian length and that many bytes of 16-bit 16 kHz mono audio; a frame of length 0
ends the audio. stdout: one JSON object a line: `ready` (model), `partial` and `final` (words, through), `done`, or
`error` (message, code). With `--wav FILE` the audio is that file and stdin is only the life line. The process ends
when stdin does: a parent that dies leaves no decoder behind. It never imports Django.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import resource
import struct
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from transcription.engines.base import Heard

MAX_FRAME = 1 << 20
BEHIND = 32_000  # bytes waiting (one second): from here on partials are left out until the worker has caught up
_QUEUE_FRAMES = 128


class Inbox:
    """Reads stdin in a thread, at most `_QUEUE_FRAMES` ahead: beyond that the pipe fills and the parent waits."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._frames: queue.Queue[bytes] = queue.Queue(_QUEUE_FRAMES)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            header = self._stream.read(4)
            if len(header) < 4:
                os._exit(0)  # the parent is gone or has closed us: whatever is being decoded is for nobody
            size = struct.unpack("<I", header)[0]
            if size > MAX_FRAME:
                os._exit(2)
            self._frames.put(self._stream.read(size) if size else b"")

    def audio(self) -> Iterator[tuple[bytes, bool]]:
        """Everything that waits, as one piece, and whether that is more than `BEHIND`; ends with the audio."""
        while True:
            pieces = [self._frames.get()]
            while pieces[-1] and not self._frames.empty():
                pieces.append(self._frames.get())
            data = b"".join(pieces)
            if data:
                yield data, len(data) > BEHIND
            if not pieces[-1]:
                return


def limit(memory_mb: int, nice: int) -> None:
    os.nice(nice)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))


def event(heard: Heard) -> dict[str, Any]:
    words = [word.model_dump(exclude_none=True) for word in heard.words]
    return {"type": "final" if heard.final else "partial", "words": words, "through": round(heard.through, 3)}


def read_wav(path: Path) -> NDArray[np.int16]:
    """A 16 kHz mono 16-bit WAV; ValueError for any other."""
    import wave

    import numpy as np

    with wave.open(str(path), "rb") as file:
        form = (file.getframerate(), file.getnchannels(), file.getsampwidth())
        if form != (16_000, 1, 2):
            raise ValueError(f"expected 16 kHz mono 16-bit audio, got {form[0]} Hz x {form[1]}, {form[2] * 8} bit")
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--mode", choices=("live", "batch"), default="live")
    parser.add_argument("--wav", type=Path)
    parser.add_argument("--offset", type=float, default=0.0)
    parser.add_argument("--memory-mb", type=int, default=4096)
    parser.add_argument("--nice", type=int, default=5)
    options = parser.parse_args()
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # native libraries print to stdout: keep that out of the protocol
    limit(options.memory_mb, options.nice)

    def say(message: dict[str, Any]) -> None:
        out.write(json.dumps(message) + "\n")

    from omi.errors import ProviderError

    try:
        (_live if options.mode == "live" else _batch)(options, Inbox(sys.stdin.buffer), say)
    except ProviderError as error:
        say({"type": "error", "message": error.message, "code": error.code, "kind": error.kind.value})
        return 1
    except MemoryError:
        say({"type": "error", "message": "out of memory", "code": "memory", "kind": "permanent"})
        return 1
    except Exception as error:  # the last line of defence of a process: whatever it was, the parent hears of it
        say({"type": "error", "message": f"{type(error).__name__}: {error}", "code": "crash", "kind": "permanent"})
        return 1
    say({"type": "done"})
    return 0


def _live(options: argparse.Namespace, inbox: Inbox, say: Any) -> None:
    from transcription.engines.registry import live_engine

    engine = live_engine(options.engine, options.model, offset=options.offset)
    say({"type": "ready", "model": engine.model})
    for data, behind in inbox.audio():
        for heard in engine.feed(data, partials=not behind):
            say(event(heard))
    for heard in engine.finish():
        say(event(heard))


def _batch(options: argparse.Namespace, inbox: Inbox, say: Any) -> None:
    import numpy as np

    from transcription.engines.base import Heard
    from transcription.engines.registry import batch_engine

    engine = batch_engine(options.engine, options.model)
    say({"type": "ready", "model": engine.model})
    if options.wav:
        pcm = read_wav(options.wav)
    else:
        data = b"".join(piece for piece, _ in inbox.audio())
        pcm = np.frombuffer(data[: len(data) & ~1], np.int16)
    say(event(Heard(engine.transcribe(pcm), True, len(pcm) / 16_000)))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the reader thread sits in read(): a normal exit would wait on its lock
