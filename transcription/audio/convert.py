"""Any recording to 16 kHz mono WAV, in a child process with limits.

Uploads are hostile until decoded: native decoders crash, playlists open other files and addresses, small files claim
to be days long. So a child decodes, with bounds on time, memory and output; only demuxers of plain audio and video
files are allowed, chosen by the bytes, never by the name; and the file is read through a Python object, so that no
protocol of the library (``http:``, ``concat:``, ``file:``) is ever reached.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from omi.core.errors import Outcome, OwnFault

_SENTENCES = {
    "not_audio": "The file is not a recording that can be read.",
    "empty": "The recording holds no audio.",
    "too_short": "The recording is shorter than {min:g} seconds.",
    "too_long": "The recording is longer than {max_minutes:g} minutes.",
    "unknown_codec": "The recording's codec is not known here.",
    "broken": "The recording is damaged and cannot be decoded.",
}


_CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGXCPU})
"""How the child ends when the file is at fault: a native decoder crashed, or used up its processor time. Anything else
(killed for lack of memory, no disk, a package that does not load) is ours, and the same file may be good next time."""


class AudioError(Exception):
    """The recording cannot be used. ``code``: not_audio, unknown_codec, empty, too_short, too_long or broken.
    ``sentence`` may be shown to users."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """Seconds of audio; ``cpu_seconds`` and ``memory_mb`` bound the child."""

    min_seconds: float = 0.0
    max_seconds: float = 6 * 3600.0
    cpu_seconds: int = 900
    memory_mb: int = 2048


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What was decoded. ``seconds`` is the length of the WAV that was written; the rest describes the source.

    ``declared``: the seconds that the file's head promises; None where it promises nothing.
    """

    seconds: float
    sample_rate: int
    channels: int
    container: str
    codec: str
    declared: float | None = None

    @property
    def ended_early(self) -> bool:
        """Whether the file was cut off: a second and two hundredths less than it promises."""
        return self.declared is not None and self.seconds < min(self.declared - 1.0, 0.98 * self.declared)


def decode_to_wav(src: Path, dest: Path, *, limits: AudioLimits | None = None) -> AudioInfo:
    """Write ``dest`` as 16 kHz mono 16-bit WAV. Blocking. When it raises, ``dest`` is not left behind.

    AudioError: the file is at fault. OwnFault (transient): this machine is, the same file may be tried again.
    """
    bounds = limits or AudioLimits()
    if not src.exists() or src.stat().st_size == 0:
        raise _error("empty", bounds)
    command = [sys.executable, "-m", "transcription.audio.decode", str(src), str(dest), str(bounds.max_seconds)]
    command += [str(bounds.memory_mb), str(bounds.cpu_seconds)]
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(settings.BASE_DIR), "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=bounds.cpu_seconds * 2, env=environment, check=False, text=True
        )
        answer = _answer(done.returncode, done.stdout)
    except subprocess.TimeoutExpired as error:
        # Its processor time is bounded apart: so much time without using it is a machine with too much to do.
        dest.unlink(missing_ok=True)
        raise OwnFault("the recording was not decoded in time", code="decode_timeout", outcome=Outcome.TIMEOUT) \
            from error  # fmt: skip
    except OwnFault:
        dest.unlink(missing_ok=True)
        raise
    code = answer.get("error")
    if code is None:
        seconds = float(answer["seconds"])
        code = "empty" if seconds <= 0 else "too_short" if seconds < bounds.min_seconds else None
    if code is not None:
        dest.unlink(missing_ok=True)
        raise _error(code, bounds)
    return AudioInfo(
        float(answer["seconds"]),
        int(answer["sample_rate"]),
        int(answer["channels"]),
        str(answer["container"]),
        str(answer["codec"]),
        None if answer.get("declared") is None else float(answer["declared"]),
    )


def _answer(exit_code: int, output: str) -> dict[str, Any]:
    """What the child said. Raises OwnFault where it failed for a reason that does not lie in the file."""
    if -exit_code in _CRASHES:
        return {"error": "broken"}
    if exit_code != 0:
        raise OwnFault("the decoder could not do its work", code=f"decode_exit_{exit_code}")
    try:
        answer = dict(json.loads(output))
    except ValueError as error:
        raise OwnFault("the decoder gave no answer", code="decode_output") from error
    if answer.get("error") == "ours":
        raise OwnFault("the decoder could not do its work", code=f"decode_{answer.get('why', '')}")
    return answer


def _error(code: str, bounds: AudioLimits) -> AudioError:
    sentence = _SENTENCES[code].format(min=bounds.min_seconds, max_minutes=bounds.max_seconds / 60)
    return AudioError(code, sentence)
