"""What every engine offers, and the event a live one answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from omi.core import child_process
from omi.core.errors import ErrorKind, Outcome, ProviderError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from transcription.segments import Word

RATE = 16_000
MEMORY_MB = 4096
"""What the child process of an engine may take."""


@dataclass(frozen=True, slots=True)
class RecognitionEvent:
    """Words of one utterance. A partial may still change and is replaced by the next event; a final will not.

    `through`: seconds of the stream that are dealt with (for a final: everything before it is final or silence).
    """

    words: list[Word]
    final: bool
    through: float


class BatchEngine(Protocol):
    """Transcribes a recording. `model` is the name under which the transcript is kept."""

    @property
    def model(self) -> str: ...

    def transcribe(self, pcm: NDArray[np.int16]) -> list[Word]:
        """Words with times in seconds of `pcm`, sorted; empty for silence."""
        ...


class LiveModel(Protocol):
    """A loaded model, shared by all streams of its process."""

    @property
    def model(self) -> str: ...

    def stream(self, *, language: str | None = None, vocabulary: str = "", offset: float = 0.0) -> LiveEngine:
        """Open a live stream, to whose times ``offset`` (s) is added; raises ProviderError (permanent) for an unknown
        language."""
        ...


class LiveEngine(Protocol):
    """Transcribes one stream. Not thread-safe; one per session."""

    def feed(self, pcm: bytes, *, partials: bool = True) -> list[RecognitionEvent]:
        """Take 16-bit audio of any length. `partials=False` when the caller is behind: finals only, and cheaper."""
        ...

    def finish(self) -> list[RecognitionEvent]:
        """The stream is over: what is still open becomes final."""
        ...


def configuration_error(engine: str, message: str) -> ProviderError:
    """The one error of an engine that lacks a package or files: permanent, and it says what to do."""
    return ProviderError(engine, message, kind=ErrorKind.PERMANENT, code="local_engine", outcome=Outcome.CONFIG_ERROR)


def not_started(engine: str, code: int | None, detail: str) -> ProviderError:
    """The error of an engine's process that ended before it was ready; ``code``: its exit code, None: it lives on."""
    sentence = "the speech engine's process ended before it was ready" + (f" ({detail})" if detail else "")
    return child_process.not_started(engine, code, sentence)


def require_files(engine: str, folder: Path, missing: Sequence[str]) -> None:
    """Make sure that a model folder lacks nothing, before a native library fails in its own words; raises one
    ProviderError (configuration) that names all that is missing."""
    if missing:
        raise configuration_error(engine, f"the model folder {folder.name!r} lacks {', '.join(missing)}")
