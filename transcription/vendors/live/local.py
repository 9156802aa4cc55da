"""Live transcription on this machine: one child process with one model for all streams, no key, no bill."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO
from weakref import WeakKeyDictionary

from django.conf import settings

from omi.core.errors import ErrorKind, ProviderError
from transcription.engines.description import describe
from transcription.engines.process import EngineProcess, EngineStream
from transcription.engines.registry import check, detect
from transcription.languages import WHISPER, base
from transcription.vendors.live.base import NO_ROOM, LiveCapabilities, LiveRequest, LiveResult, require


class LocalLive:
    """The engine that is configured (``OMI_SPEECH_MODEL``); the bundled Whisper base where none is.

    All streams of a process share one child and its model (about 400 MB); it ends with the last stream. The number of
    streams is bounded for the machine (``OMI_LOCAL_STREAMS``): a stream beyond it is refused as transient, with the
    code ``NO_ROOM``, so that its session keeps the audio and tries again.
    """

    name = "local"

    def __init__(self, engine: str | None = None, folder: Path | None = None) -> None:
        self._folder = folder or (Path(settings.OMI_SPEECH_MODEL) if settings.OMI_SPEECH_MODEL else None)
        self._unusable: ProviderError | None = None
        try:
            self._engine = engine or detect(self._folder)
        except ProviderError as error:  # said when a stream is opened: the session then goes on without it
            self._engine, self._unusable = "local", error
        self.model_name = f"{self._engine.replace('-', '_')}_streaming"
        whisper = self._engine == "whisper"
        self.capabilities = LiveCapabilities(
            languages=WHISPER if whisper else None,
            vocabulary=whisper,
            billed_by_second=False,
            reports_progress=False,
        )
        # By event loop: pipes and tasks belong to one.
        self._processes: WeakKeyDictionary[asyncio.AbstractEventLoop, EngineProcess] = WeakKeyDictionary()
        self._opening: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    def about(self) -> str:
        """Return what the model is, for ``doctor``; raises ProviderError, one sentence, where it cannot be used."""
        return describe(self._folder)

    async def open(self, request: LiveRequest) -> LocalStream:
        require(self.name, self.capabilities, request)
        if self._unusable is not None:
            raise self._unusable
        if self._folder is not None:
            check(self._folder)  # what can be said of a model without loading it is said without a process
        slot = take_slot(Path(settings.OMI_DATA_DIR) / "locks", settings.OMI_LOCAL_STREAMS)
        if slot is None:
            raise ProviderError(
                self.name,
                f"{settings.OMI_LOCAL_STREAMS} streams are transcribed on this machine already (OMI_LOCAL_STREAMS)",
                kind=ErrorKind.TRANSIENT,
                code=NO_ROOM,
            )
        try:
            process = await self._process()
            stream = process.open(language=base(request.language), vocabulary=", ".join(request.vocabulary))
        except BaseException:
            slot.close()
            raise
        return LocalStream(process, stream, slot)

    async def _process(self) -> EngineProcess:
        """The child that is there, or a new one."""
        loop = asyncio.get_running_loop()
        async with self._opening.setdefault(loop, asyncio.Lock()):
            process = self._processes.get(loop)
            if process is not None and process.running:
                return process
            process = EngineProcess(self._engine, self._folder)
            try:
                await process.start()
            except BaseException:
                await process.close(grace=0.0)
                raise
            self._processes[loop] = process
            return process


def take_slot(folder: Path, slots: int) -> IO[str] | None:
    """Take one of the machine's slots, held by a lock until the file is closed or the process ends; None: all are
    taken."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(slots):
        file = (folder / f"local-stream-{number}").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            return file
    return None


class LocalStream:
    """One open stream to the speech engine on this machine; it occupies a slot until it is closed."""

    def __init__(self, process: EngineProcess, stream: EngineStream, slot: IO[str]) -> None:
        self._process = process
        self._stream = stream
        self._slot = slot
        self._closed = False

    async def send(self, audio: bytes) -> None:
        await self._stream.send(audio)

    def send_now(self, audio: bytes) -> bool:
        return False  # the pipe to the child may be full

    async def keep_alive(self) -> None:
        """The child waits as long as its pipe is open."""

    async def flush(self) -> None:
        """The engine ends an utterance at a pause by itself."""

    async def finish(self) -> None:
        await self._stream.finalize()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._stream.close()
        self._slot.close()
        if not self._process.streams:
            await self._process.close(grace=0.5)

    async def results(self) -> AsyncIterator[LiveResult]:
        try:
            async for heard in self._stream:
                yield LiveResult(
                    words=tuple(heard.words), final=heard.final, heard_until=heard.through if heard.final else None
                )
        except ProviderError:
            if not self._closed:
                raise
