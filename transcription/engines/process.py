"""The web process's side of a live engine: a child process, two pipes and no blocking call."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from typing import TYPE_CHECKING, Any

from omi import child_process
from omi.errors import ErrorKind, ProviderError
from transcription.engines.base import Heard, not_started
from transcription.segments import Word

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_LINE_LIMIT = 1 << 22
_FRAME = 1 << 16


def worker_command(engine: str, folder: Path | None, *options: str) -> list[str]:
    model = ["--model", str(folder)] if folder else []
    return child_process.command("transcription.engines.worker", "--engine", engine, *model, *options)


class EngineProcess:
    """One live session's engine. `start`, then `send` audio while iterating over events, `finalize`, `close`.

    Bounded: `send` waits while the child is behind (about 8 s of audio in flight), the child waits while nobody reads
    its events. Failures are ProviderError: transient when the child died or hung, permanent when it said why.
    """

    def __init__(
        self,
        engine: str = "pocketsphinx",
        folder: Path | None = None,
        *,
        offset: float = 0.0,
        memory_mb: int = 4096,
        nice: int = 5,
    ) -> None:
        self.engine = engine
        self.model = ""
        limits = ("--offset", str(offset), "--memory-mb", str(memory_mb), "--nice", str(nice))
        self._command = worker_command(engine, folder, *limits)
        self._process: asyncio.subprocess.Process | None = None
        self._stderr: asyncio.Task[None] | None = None
        self._complaint = b""

    async def start(self, timeout: float = 30.0) -> None:  # noqa: ASYNC109
        """Start the child and wait until its model is loaded (about a second for pocketsphinx)."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
            env=child_process.environment(),
        )
        self._stderr = asyncio.create_task(self._drain_stderr(self._process))
        try:
            async with asyncio.timeout(timeout):
                message = await self._message()
        except TimeoutError:
            await self.close()
            raise self._died("did not start in time") from None
        except ProviderError as error:
            code = await self._ended()
            await self.close()
            if error.retryable:
                raise not_started(self.engine, code, self._last_words()) from None
            raise
        self.model = str(message["model"])

    async def send(self, pcm: bytes, timeout: float = 60.0) -> None:  # noqa: ASYNC109
        """Hand over 16-bit 16 kHz mono audio of any length."""
        for at in range(0, len(pcm), _FRAME):
            piece = pcm[at : at + _FRAME]
            await self._write(struct.pack("<I", len(piece)) + piece, timeout)

    async def finalize(self) -> None:
        """No more audio: the iterator ends after the last final."""
        await self._write(struct.pack("<I", 0), 60.0)

    async def __aiter__(self) -> AsyncIterator[Heard]:
        while (message := await self._message())["type"] != "done":
            words = [Word.model_validate(word) for word in message["words"]]
            yield Heard(words, message["type"] == "final", float(message["through"]))

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
            if self._stderr is not None:
                self._stderr.cancel()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise self._died("is not running")
        return self._process

    async def _write(self, data: bytes, timeout: float) -> None:  # noqa: ASYNC109
        stdin = self._running().stdin
        assert stdin is not None
        try:
            stdin.write(data)
            async with asyncio.timeout(timeout):
                await stdin.drain()
        except TimeoutError:
            raise self._died(f"took no audio for {timeout:.0f} s") from None
        except (ConnectionError, RuntimeError):  # RuntimeError: the transport is closed already
            raise self._died("ended before the audio did") from None

    async def _message(self) -> dict[str, Any]:
        stdout = self._running().stdout
        assert stdout is not None
        line = await stdout.readline()
        if not line.endswith(b"\n"):
            raise self._died("ended unexpectedly")
        message: dict[str, Any] = json.loads(line)
        if message["type"] == "error":
            raise ProviderError(
                self.engine, str(message["message"]), kind=ErrorKind(message["kind"]), code=str(message["code"])
            )
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
        try:
            async with asyncio.timeout(2.0):
                return await self._running().wait()
        except TimeoutError:
            return None

    async def _drain_stderr(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while chunk := await process.stderr.read(4096):
            self._complaint = (self._complaint + chunk)[-4096:]
