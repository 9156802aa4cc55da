"""The child process that recognises speech: `python -m transcription.engines.worker --engine whisper`.

Live: one model, any number of streams. stdin: frames of `HEADER` (stream, kind, size) and that many bytes. `OPEN`
(JSON: language, vocabulary, offset) begins a stream, `AUDIO` is 16-bit 16 kHz mono, `END` says that no more will come,
`DROP` that nobody wants the rest. stdout: one JSON object a line: `ready` (model) once; then of each stream `took`
(bytes of audio that are dealt with), `partial` and `final` (words, through), `done`, or `error` (message, code, kind).
An `error` without a stream is the process's own, and its end.

Batch (`--mode batch`): `OPEN` (language, vocabulary) and `END` of stream 0; the audio is the WAV file `--wav`, or
between them. `ready`, one `final`, `done`. Names of people stand in no argument, which every user of the machine could
read.

The process ends when stdin does: a parent that dies leaves no decoder behind. It never imports Django.
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
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from omi.core.errors import ErrorKind, ProviderError, UnsupportedFeature
from transcription.engines.base import RecognitionEvent
from transcription.engines.registry import batch_engine, live_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from transcription.engines.base import LiveEngine, LiveModel, RecognitionEvent

HEADER = struct.Struct("<IBI")
AUDIO, OPEN, END, DROP = range(4)
MAX_FRAME = 1 << 20
BEHIND = 96_000  # bytes of one stream waiting (3 s): from here on partials are left out until it has caught up

Say = Callable[[dict[str, Any]], None]


class Inbox:
    """Reads stdin in a thread. What waits in memory is bounded by the parent: it sends no stream more than
    `process.IN_FLIGHT` bytes ahead of what was taken."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._frames: queue.SimpleQueue[tuple[int, int, bytes]] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            header = self._stream.read(HEADER.size)
            if len(header) < HEADER.size:
                os._exit(0)  # the parent is gone or has closed us: whatever is being decoded is for nobody
            stream, kind, size = HEADER.unpack(header)
            if size > MAX_FRAME:
                os._exit(2)
            self._frames.put((stream, kind, self._stream.read(size) if size else b""))

    def empty(self) -> bool:
        return self._frames.empty()

    def waiting(self) -> list[tuple[int, int, bytes]]:
        """Return all frames that are there; waits for the first one."""
        frames = [self._frames.get()]
        while not self._frames.empty():
            frames.append(self._frames.get())
        return frames


class Streams:
    """The streams of one model. Each turn every stream that has audio is served once, the longest waiting first."""

    def __init__(self, model: LiveModel, say: Say) -> None:
        self._model = model
        self._say = say
        self._engines: dict[int, LiveEngine] = {}
        self._audio: dict[int, bytearray] = {}
        self._ended: set[int] = set()

    def take(self, stream: int, kind: int, data: bytes) -> None:
        if kind == OPEN:
            self._open(stream, json.loads(data))
        elif kind == DROP:
            self._forget(stream)
        elif stream in self._engines and kind == AUDIO:
            self._audio.setdefault(stream, bytearray()).extend(data)
        elif stream in self._engines and kind == END:
            self._ended.add(stream)
            self._audio.setdefault(stream, bytearray())  # its turn comes as if it had audio

    def serve(self) -> bool:
        """Serve the stream that waits longest. False: nothing waits."""
        if not self._audio:
            return False
        stream = next(iter(self._audio))
        data = bytes(self._audio.pop(stream))
        if data:
            self._guarded(stream, lambda engine: self._feed(engine, stream, data))
        if stream in self._ended:
            self._guarded(stream, lambda engine: self._finish(engine, stream))
        return True

    def _open(self, stream: int, options: dict[str, Any]) -> None:
        def begin() -> None:
            self._engines[stream] = self._model.stream(**options)

        self._answering(stream, begin)

    def _guarded(self, stream: int, work: Callable[[LiveEngine], None]) -> None:
        engine = self._engines.get(stream)
        if engine is not None:
            self._answering(stream, lambda: work(engine))

    def _answering(self, stream: int, work: Callable[[], None]) -> None:
        """What goes wrong with one stream is said to it; the others go on."""
        try:
            work()
        except MemoryError:
            raise
        except Exception as error:
            self._say({"stream": stream, **failure(error)})
            self._forget(stream)

    def _feed(self, engine: LiveEngine, stream: int, data: bytes) -> None:
        for heard in engine.feed(data, partials=len(data) <= BEHIND):
            self._say({"stream": stream, **event(heard)})
        self._say({"stream": stream, "type": "took", "bytes": len(data)})

    def _finish(self, engine: LiveEngine, stream: int) -> None:
        for heard in engine.finish():
            self._say({"stream": stream, **event(heard)})
        self._say({"stream": stream, "type": "done"})
        self._forget(stream)

    def _forget(self, stream: int) -> None:
        self._engines.pop(stream, None)
        self._audio.pop(stream, None)
        self._ended.discard(stream)


def limit(memory_mb: int, nice: int) -> None:
    """Lower this process's priority, bound its address space (MB) and forbid core dumps."""
    os.nice(nice)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))


def event(heard: RecognitionEvent) -> dict[str, Any]:
    """Return what was heard as the message that goes to the server's process."""
    words = [word.model_dump(exclude_none=True) for word in heard.words]
    return {"type": "final" if heard.final else "partial", "words": words, "through": round(heard.through, 3)}


def failure(error: BaseException) -> dict[str, Any]:
    """The last line of defence of a process: whatever it was, the parent hears of it."""
    if isinstance(error, UnsupportedFeature):
        return {"type": "error", "message": error.message, "code": "unsupported", "kind": error.kind.value}
    if isinstance(error, ProviderError):
        return {"type": "error", "message": error.message, "code": error.code, "kind": error.kind.value}
    if isinstance(error, MemoryError) or "alloc" in str(error):
        limit_mb = resource.getrlimit(resource.RLIMIT_AS)[0] >> 20
        sentence = f"the speech model needs more memory than the {limit_mb} MB that it is allowed"
        return {"type": "error", "message": sentence, "code": "memory", "kind": ErrorKind.PERMANENT.value}
    message = f"{type(error).__name__}: {error}"
    return {"type": "error", "message": message, "code": "crash", "kind": ErrorKind.PERMANENT.value}


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
    """Load the engine that the command line names, and recognise speech live or of one file; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--mode", choices=("live", "batch"), default="live")
    parser.add_argument("--wav", type=Path)
    parser.add_argument("--memory-mb", type=int, default=4096)
    parser.add_argument("--nice", type=int, default=0)
    options = parser.parse_args()
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # native libraries print to stdout: keep that out of the protocol
    limit(options.memory_mb, options.nice)

    def say(message: dict[str, Any]) -> None:
        out.write(json.dumps(message) + "\n")

    try:
        (_live if options.mode == "live" else _batch)(options, Inbox(sys.stdin.buffer), say)
    except Exception as error:
        say(failure(error))
        return 1
    return 0


def _live(options: argparse.Namespace, inbox: Inbox, say: Say) -> None:
    model = live_model(options.engine, options.model, memory_mb=options.memory_mb)
    say({"type": "ready", "model": model.model})
    streams = Streams(model, say)
    while True:  # until stdin ends, which ends the process
        for frame in inbox.waiting():
            streams.take(*frame)
        while streams.serve():
            if not inbox.empty():
                break


def _batch(options: argparse.Namespace, inbox: Inbox, say: Say) -> None:
    import numpy as np

    wishes, data = _all_of(inbox)
    engine = batch_engine(options.engine, options.model, memory_mb=options.memory_mb, **wishes)
    say({"type": "ready", "model": engine.model})
    pcm = read_wav(options.wav) if options.wav else np.frombuffer(data, np.int16)
    say(event(RecognitionEvent(engine.transcribe(pcm), True, len(pcm) / 16_000)))
    say({"type": "done"})


def _all_of(inbox: Inbox) -> tuple[dict[str, Any], bytes]:
    """What the parent wishes (language, vocabulary), and the audio where it is not in a file."""
    wishes: dict[str, Any] = {}
    data = bytearray()
    while True:
        for _, kind, piece in inbox.waiting():
            if kind == OPEN:
                wishes = json.loads(piece)
            elif kind == END:
                return wishes, bytes(data[: len(data) & ~1])
            else:
                data += piece


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the reader thread sits in read(): a normal exit would wait on its lock
