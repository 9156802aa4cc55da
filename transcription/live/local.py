"""Live transcription on this machine: one child process per stream, no key, no bill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from django.conf import settings

from omi.errors import ErrorKind, ProviderError
from transcription.engines.process import EngineProcess
from transcription.engines.registry import detect
from transcription.live.base import LiveCapabilities, LiveRequest, LiveResult, require

BUSY_SECONDS = 5.0
OURS = "internal"
"""Said of what lies with this server: it does not count against the engine (``transcription.live.leg``)."""


class LocalLive:
    """The engine that is configured (``OMI_SPEECH_MODEL``), pocketsphinx where none is. English only by default.

    pocketsphinx hears plain synthetic speech at about 8 % word error rate and real read speech at about 59 %
    (dependencies.md 0): it proves the path, it is not a good transcript.
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
        self.capabilities = LiveCapabilities(
            languages=frozenset({"en"}) if self._engine == "pocketsphinx" else None,
            billed_by_second=False,
            reports_progress=False,
        )

    async def open(self, request: LiveRequest) -> LocalStream:
        require(self.name, self.capabilities, request)
        if self._unusable is not None:
            raise self._unusable
        if LocalStream.open_streams >= settings.OMI_LIVE_ENGINES:
            text = "all engines of this server are busy; the audio is kept"
            raise ProviderError(self.name, text, kind=ErrorKind.TRANSIENT, code=OURS, retry_after=BUSY_SECONDS)
        stream = LocalStream(EngineProcess(self._engine, self._folder))
        try:
            await stream.start()
        except BaseException:
            await stream.close(grace=0.0)
            raise
        return stream


class LocalStream:
    """``open_streams``: of this process, those that are being started or ended included. Each is a child process."""

    open_streams = 0

    def __init__(self, process: EngineProcess) -> None:
        self._process = process
        self._closed = False
        LocalStream.open_streams += 1

    async def start(self) -> None:
        await self._process.start()

    async def send(self, audio: bytes) -> None:
        await self._process.send(audio)

    def send_now(self, audio: bytes) -> bool:
        return False  # the pipe to the child may be full

    async def keep_alive(self) -> None:
        """The child waits as long as its pipe is open."""

    async def flush(self) -> None:
        """The engine ends an utterance at a pause by itself."""

    async def finish(self) -> None:
        await self._process.finalize()

    async def close(self, grace: float = 0.5) -> None:
        if not self._closed:
            self._closed = True
            try:
                await self._process.close(grace=grace)
            finally:
                LocalStream.open_streams -= 1

    async def results(self) -> AsyncIterator[LiveResult]:
        try:
            async for heard in self._process:
                yield LiveResult(
                    words=tuple(heard.words), final=heard.final, heard_until=heard.through if heard.final else None
                )
        except ProviderError:
            if not self._closed:
                raise
