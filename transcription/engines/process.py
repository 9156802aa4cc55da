"""The web process's side of the live engine: one child process for all streams, two pipes and no blocking call."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from typing import TYPE_CHECKING, Any

from omi.core import child_process
from omi.core.errors import ErrorKind, ProviderError, UnsupportedFeature
from transcription.engines.base import MEMORY_MB, RecognitionEvent, not_started
from transcription.engines.worker import AUDIO, DROP, END, HEADER, OPEN
from transcription.segments import Word

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_LINE_LIMIT = 1 << 22
_FRAME = 1 << 16
IN_FLIGHT = 256_000
"""Bytes (8 s) that a stream may be ahead of the engine: one that comes fast does not fill the others' way."""


def worker_command(engine: str, folder: Path | None, *options: str) -> list[str]:
    """Return the command line that starts the child process of an engine (``transcription.engines.worker``)."""
    model = ["--model", str(folder)] if folder else []
    return child_process.command("transcription.engines.worker", "--engine", engine, *model, *options)


class EngineProcess:
    """The child with its model. ``start``, then ``open`` streams, ``close``.

    Failures are ProviderError: transient when the child died or hung, permanent when it said why. When the child dies
    all its streams fail.
    """

    def __init__(
        self, engine: str = "whisper", folder: Path | None = None, *, memory_mb: int = MEMORY_MB, nice: int = 0
    ) -> None:
        self.engine = engine
        self.model = ""
        self.streams: dict[int, EngineStream] = {}
        self._command = worker_command(engine, folder, "--memory-mb", str(memory_mb), "--nice", str(nice))
        self._numbers = itertools.count()
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._complaint = b""
        self._failure: ProviderError | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._failure is None

    async def start(self, timeout: float = 30.0) -> None:  # noqa: ASYNC109
        """Start the child and wait until its model is loaded (about a second)."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
            env=child_process.environment(),
        )
        self._tasks = [asyncio.create_task(self._drain_stderr(self._process))]
        try:
            async with asyncio.timeout(timeout):
                message = await self._message()
        except TimeoutError:
            await self.close(grace=0.0)
            raise self._died("did not start in time") from None
        except ProviderError as error:
            code = await self._ended()
            await self.close()
            if error.retryable:
                raise not_started(self.engine, code, self._last_words()) from None
            raise
        self.model = str(message["model"])
        self._tasks.append(asyncio.create_task(self._listen()))

    def open(self, *, language: str | None = None, vocabulary: str = "", offset: float = 0.0) -> EngineStream:
        """A stream of its own. A language that the model does not know is said by its iterator."""
        self._running()
        number = next(self._numbers)
        stream = self.streams[number] = EngineStream(self, number)
        options = {"language": language, "vocabulary": vocabulary, "offset": offset}
        self.write(number, OPEN, json.dumps(options).encode())
        return stream

    def write(self, stream: int, kind: int, data: bytes = b"") -> None:
        """Hand a frame to the pipe. Does not wait: ``drain`` does."""
        stdin = self._running().stdin
        assert stdin is not None
        try:
            stdin.write(HEADER.pack(stream, kind, len(data)) + data)
        except RuntimeError:  # the transport is closed already
            raise self._died("ended before the audio did") from None

    async def drain(self) -> None:
        stdin = self._running().stdin
        assert stdin is not None
        try:
            await stdin.drain()
        except (ConnectionError, RuntimeError):
            raise self._died("ended before the audio did") from None

    async def close(self, grace: float = 2.0) -> None:
        """End the child, whatever it is doing. Safe to call twice and in any state."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(grace):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        finally:
            if process.returncode is None:  # cancelled while waiting: the child must not outlive its session
                process.kill()
            for task in self._tasks:
                task.cancel()
            self._fail(self._died("was closed"))

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._failure is not None:
            raise self._failure or self._died("is not running")
        return self._process

    async def _listen(self) -> None:
        """Hand what the child says to whom it concerns; its end is the end of every stream."""
        try:
            while True:
                message = await self._message()
                stream = self.streams.get(message["stream"])
                if stream is not None:
                    stream.told(message)
        except ProviderError as error:
            await self._ended()
            self._fail(self._died("ended unexpectedly") if error.retryable else error)

    def _fail(self, error: ProviderError) -> None:
        self._failure = self._failure or error
        for stream in list(self.streams.values()):
            stream.failed(self._failure)

    async def _message(self) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdout is None:
            raise self._died("is not running")
        line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._died("ended unexpectedly")
        message: dict[str, Any] = json.loads(line)
        if message["type"] == "error" and "stream" not in message:
            raise error_of(self.engine, message)
        return message

    def _died(self, what: str) -> ProviderError:
        code = self._process.returncode if self._process else None
        detail = self._last_words()
        sentence = f"the speech engine's process {what}" + (f" ({detail})" if detail else "")
        return ProviderError(self.engine, sentence, kind=ErrorKind.TRANSIENT, code=f"exit {code}" if code else "")

    def _last_words(self) -> str:
        return self._complaint.decode(errors="replace").strip().rsplit("\n", 1)[-1][:200]

    async def _ended(self) -> int | None:
        """The exit code of a child that has closed its output; None where it does not end."""
        if self._process is None:
            return None
        try:
            async with asyncio.timeout(2.0):
                return await self._process.wait()
        except TimeoutError:
            return None

    async def _drain_stderr(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while chunk := await process.stderr.read(4096):
            self._complaint = (self._complaint + chunk)[-4096:]


class EngineStream:
    """One session's stream in the engine: ``send`` audio while iterating over events, ``finalize``, ``close``.

    Bounded: ``send`` waits while the engine is more than ``IN_FLIGHT`` behind with this stream.
    """

    def __init__(self, process: EngineProcess, number: int) -> None:
        self._process = process
        self._number = number
        self._messages: asyncio.Queue[dict[str, Any] | ProviderError] = asyncio.Queue()
        self._ahead = 0
        self._taken = asyncio.Event()

    async def send(self, pcm: bytes, timeout: float = 60.0) -> None:  # noqa: ASYNC109
        """Hand over 16-bit 16 kHz mono audio of any length."""
        for at in range(0, len(pcm), _FRAME):
            piece = pcm[at : at + _FRAME]
            await self._room(timeout)
            self._process.write(self._number, AUDIO, piece)
            self._ahead += len(piece)
            await self._process.drain()

    async def _room(self, timeout: float) -> None:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(timeout):
                while self._ahead >= IN_FLIGHT and self._process.running:
                    self._taken.clear()
                    await self._taken.wait()
        except TimeoutError:
            sentence = f"the speech engine took no audio for {timeout:.0f} s"
            raise ProviderError(self._process.engine, sentence, kind=ErrorKind.TRANSIENT, code="stalled") from None

    async def finalize(self) -> None:
        """No more audio: the iterator ends after the last final."""
        self._process.write(self._number, END)
        await self._process.drain()

    async def __aiter__(self) -> AsyncIterator[RecognitionEvent]:
        while True:
            message = await self._messages.get()
            if isinstance(message, ProviderError):
                raise message
            if message["type"] == "done":
                return
            words = [Word.model_validate(word) for word in message["words"]]
            yield RecognitionEvent(words, message["type"] == "final", float(message["through"]))

    def close(self) -> None:
        """Nobody wants the rest. Safe to call twice and in any state."""
        if self._process.streams.pop(self._number, None) is None:
            return
        self._messages.put_nowait({"type": "done"})
        if self._process.running:
            with contextlib.suppress(ProviderError):
                self._process.write(self._number, DROP)

    def told(self, message: dict[str, Any]) -> None:
        if message["type"] == "took":
            self._ahead -= int(message["bytes"])
            self._taken.set()
        elif message["type"] == "error":
            self.failed(error_of(self._process.engine, message))
        else:
            self._messages.put_nowait(message)

    def failed(self, error: ProviderError) -> None:
        self._messages.put_nowait(error)
        self._taken.set()


def error_of(engine: str, message: dict[str, Any]) -> ProviderError:
    """Return the error that a child process reported as the ProviderError that an adapter raises."""
    if message["code"] == "unsupported":
        return UnsupportedFeature(engine, str(message["message"]).removeprefix(f"{engine} does not support "))
    return ProviderError(engine, str(message["message"]), kind=ErrorKind(message["kind"]), code=str(message["code"]))
