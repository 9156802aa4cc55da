"""Reading the one audio form that emotion meters take: 16 kHz mono 16-bit WAV."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omi.core.errors import ErrorKind, Outcome, ProviderError

RATE = 16_000


@contextmanager
def open_wave(path: Path, *, vendor: str) -> Iterator[wave.Wave_read]:
    """Open a WAV file of 16 kHz mono 16-bit audio; raises ProviderError (permanent, invalid_input) where it is missing,
    broken or of another form."""
    try:
        handle = wave.open(str(path), "rb")  # noqa: SIM115 - closed below; opening alone may fail
    except (OSError, EOFError, wave.Error) as error:
        raise _refused(vendor, "the audio is not a readable WAV file") from error
    with handle:
        if (handle.getframerate(), handle.getnchannels(), handle.getsampwidth()) != (RATE, 1, 2):
            raise _refused(vendor, "the audio is not 16 kHz mono 16-bit")
        yield handle


def read_samples(handle: wave.Wave_read, start: float, end: float) -> bytes:
    """16-bit little-endian samples between two moments in seconds, cut at the ends of the file."""
    first = max(0, min(handle.getnframes(), round(start * RATE)))
    last = max(first, min(handle.getnframes(), round(end * RATE)))
    handle.setpos(first)
    return handle.readframes(last - first)


def _refused(vendor: str, message: str) -> ProviderError:
    return ProviderError(vendor, message, kind=ErrorKind.PERMANENT, code="audio", outcome=Outcome.INVALID_INPUT)
