"""A live session with scripted vendors, and what the tests of it say and hear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np

from omi.core.errors import ErrorKind, ProviderError
from tests.transcription.fakes import MemorySink, NoBreaker, Script, spoken_pcm
from transcription.audio.codecs import codec
from transcription.ports import VoiceLabel
from transcription.segments import Segment
from transcription.session.dependencies import Callbacks, Dependencies, Plan
from transcription.session.session import Session
from transcription.session.vendor_state import Tuning

FAST = Tuning(connect=1.0, keep_alive=0.2, stall=1.0, backoff=0.05, max_backoff=0.2)
TEN = list(range(1, 11))


class Run:
    """A session with everything that it said."""

    def __init__(
        self,
        *vendors: Script,
        mode: str = "parallel",
        sink: MemorySink | None = None,
        watch: bool = True,
        **around: Any,
    ) -> None:
        self.sink = sink or MemorySink()
        self.shown: list[str] = []
        self.statuses: list[dict[str, Any]] = []
        self.updates: list[Segment] = []
        around = {"gate": False, "gap_seconds": 120.0, "tuning": FAST, **around}
        self.session = Session(
            Plan(uid="u1", codec=codec("pcm16"), watch=watch),
            Dependencies(sink=self.sink, vendors=vendors, breaker=lambda name: NoBreaker(), mode=mode, **around),
            Callbacks(
                segments=lambda deltas: self.shown.extend(word for delta in deltas for word in delta.text.split()),
                updated=lambda segments: self.updates.extend(item.model_copy() for item in segments),
                status=self.statuses.append,
            ),
        )

    async def feed(self, pcm: bytes, *, step: int = 3200, pause: float = 0.002) -> None:
        for at in range(0, len(pcm), step):
            self.session.feed([pcm[at : at + step]])
            await asyncio.sleep(pause)

    async def live(self, pcm: bytes, *, pause: float = 0.002, reason: str = "disconnect", keep: bool = False) -> None:
        """From its first byte to its end, with nothing in between but the audio."""
        self.session.start()
        await self.feed(pcm, pause=pause)
        await self.session.finish(reason, keep=keep)

    def states(self) -> list[str]:
        return [status["status"] for status in self.statuses]


def run(work: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work(), 30))


def lived(it: Run, pcm: bytes, **how: Any) -> Run:
    """The session after its whole life (``Run.live``)."""
    run(lambda: it.live(pcm, **how))
    return it


def words(*numbers: int) -> list[str]:
    return [f"w{number}" for number in numbers]


def drop(code: str = "dropped") -> ProviderError:
    return ProviderError("alpha", "the connection was lost", kind=ErrorKind.TRANSIENT, code=code)


def quota() -> ProviderError:
    return ProviderError("alpha", "no credit is left", kind=ErrorKind.QUOTA, code="402")


class Labeller:
    """Says that the voice whose clips are all odd numbers is the user. ``profile``: whether anybody is enrolled."""

    def __init__(self, *, profile: bool = True, broken: bool = False) -> None:
        self.profile, self.broken = profile, broken
        self.asked: list[dict[str, float]] = []

    async def has_profile(self, uid: str) -> bool:
        return self.profile

    async def embed(self, clips: list[Any]) -> list[Any]:
        if self.broken:
            raise ConnectionError("the engine is down")
        odd = [int(np.abs(clip).max()) // 100 % 2 for clip in clips]
        return [np.array([1.0, 0.0] if kind else [0.0, 1.0], np.float32) for kind in odd]

    async def same_utterance(self) -> float:
        return 0.75

    async def label(self, uid: str, voices: dict[str, Any]) -> dict[str, VoiceLabel]:
        self.asked.append({name: sum(len(clip) for clip in clips) / 16000 for name, clips in voices.items()})
        if self.broken:
            raise ConnectionError("the engine is down")
        odd = {name: {int(np.abs(clip).max()) // 100 % 2 for clip in clips} for name, clips in voices.items()}
        return {name: VoiceLabel(is_user=True, score=0.9) for name, kinds in odd.items() if kinds == {1}}


def said_in_turns(turns: int) -> bytes:
    """Two voices (odd and even numbers) that take turns of eight words, 0.3 s each without a pause."""
    numbers = [2 * (turn * 8 + word) + turn % 2 + 2 for turn in range(turns) for word in range(8)]
    return spoken_pcm(numbers, every=0.3)
