"""The simulated vendors in a thread, for tests."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

from demo.vendors.app import build, settings
from demo.vendors.state import VENDORS, Entry, Fault, State
from demo.vendors.truth import Library, Recording


class VendorServer:
    """``with VendorServer(recordings=[...]) as vendors:`` — then ``vendors.urls`` are the settings to export."""

    def __init__(
        self,
        recordings: list[Recording] | None = None,
        scale: float = 1.0,
        vendors: tuple[str, ...] = VENDORS,
        port: int = 0,
        **options: Any,
    ) -> None:
        self.library = Library(recordings or [])
        self.state = State(self.library, scale, **options)
        self.vendors, self.port = vendors, port
        self.urls: dict[str, str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._problem: BaseException | None = None

    def start(self) -> Self:
        self._ready.clear()
        self._thread = threading.Thread(target=self._serve, name="simulated-vendors", daemon=True)
        self._thread.start()
        if not self._ready.wait(20):
            raise TimeoutError("the simulated vendors did not start")
        if self._problem is not None:
            raise self._problem
        return self

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(20)
            self._thread = None

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as problem:
            self._problem = problem
            self._ready.set()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(build(self.state, self.vendors), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = runner.addresses[0][1]
        self.state.base = f"http://127.0.0.1:{self.port}"
        self.urls = settings(self.state.base, self.vendors)
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    def _call(self, work: Callable[[], Any]) -> Any:
        """Run ``work`` in the server's loop and return its value."""

        async def inside() -> Any:
            return work()

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(20)

    def faults(self, vendor: str, *faults: Fault, clear: bool = False) -> None:
        """Queue faults for a vendor's next requests or connections (kinds: state.KINDS)."""
        if clear:
            self._call(self.state.faults[vendor].clear)
        self._call(lambda: self.state.add_faults(vendor, *faults))

    def log(self, vendor: str, op: str | None = None) -> list[Entry]:
        """What the vendor received, oldest first (copies)."""
        entries = self._call(lambda: [dict(e) for e in self.state.log[vendor] if op in (None, e["op"])])
        return list(entries)

    def wait(self, vendor: str, op: str, ready: Callable[[list[Entry]], bool], seconds: float = 5.0) -> list[Entry]:
        """The log once ``ready(log)`` holds; TimeoutError otherwise."""
        end = time.monotonic() + seconds
        while not ready(found := self.log(vendor, op)):
            if time.monotonic() > end:
                raise TimeoutError(f"{vendor}.{op}: {found}")
            time.sleep(0.02)
        return found

    def answer_held(self) -> None:
        """Requests that the fault "held" has taken are answered now."""
        self._call(self.state.answer_held)

    def reset(self, vendor: str | None = None) -> None:
        self._call(lambda: self.state.reset(vendor))

    def set(self, **options: Any) -> None:
        """Change ``scale`` or a vendor switch (fal_seconds, soniox_seconds, pinecone_delay, openai_answer, ...)."""

        def change() -> None:
            self.state.scale = options.pop("scale", self.state.scale)
            self.state.options.update(options)

        self._call(change)
