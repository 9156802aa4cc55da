"""The child process that holds a voice engine: ``python -m speakers.engines.worker [--model FILE]``.

It keeps NumPy, the weights and native detectors out of the web process, and a crash of native code away from
everybody. Messages on stdin and stdout are a header line of JSON and, after it, ``bytes`` bytes of payload. It needs
no Django, ends when its stdin closes or after ``IDLE`` seconds without work, and answers every request once, in
order.

Requests: ``{"op": "embed", "segments": [[start, end], ...]}`` and ``{"op": "speech"}``, both with int16 audio as
payload.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from speakers.engines.campplus import CampplusEngine
from speakers.engines.sherpa import SherpaVoiceEngine
from transcription.audio.vad import speech_regions

if TYPE_CHECKING:
    from speakers.engines import VoiceEngine

IDLE = 600.0
LARGEST = 1024 * 1024 * 1024
"""Bytes of one payload: nine hours of audio, more than the longest recording that is taken by default (six)."""


def load_engine(model: str) -> VoiceEngine:
    """The engine of the .onnx file ``model`` (sherpa-onnx), or the built-in one."""
    if model:
        return SherpaVoiceEngine(Path(model))

    return CampplusEngine()


def write_message(stream: IO[bytes], header: dict[str, Any], payload: bytes | memoryview = b"") -> None:
    """Write one message of the protocol. ``payload``: bytes, or a memoryview of single bytes, which is not copied."""
    size = len(payload)
    stream.write(json.dumps({**header, "bytes": size}).encode() + b"\n")
    if size:
        stream.write(payload)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """The next message; None at the end of the stream. EOFError when it ends inside a message."""
    line = stream.readline(1024 * 1024)
    if not line:
        return None
    header: dict[str, Any] = json.loads(line)
    size = int(header["bytes"])
    if not 0 <= size <= LARGEST:
        raise EOFError(f"a payload of {size} bytes is refused")
    payload = stream.read(size) if size else b""
    if len(payload) != size:
        raise EOFError("the stream ended inside a message")
    return header, payload


def answer(engine: VoiceEngine, header: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
    """Do one operation of the protocol (``embed``, ``speech``) and return its header and payload; raises ValueError."""
    import numpy as np

    pcm = np.frombuffer(payload, "<i2").astype(np.int16, copy=False)
    if header["op"] == "embed":
        rows = engine.embed_segments(pcm, [(float(start), float(end)) for start, end in header["segments"]])
        return {"rows": rows.shape[0], "columns": rows.shape[1]}, rows.astype("<f4").tobytes()
    if header["op"] == "speech":
        return {"regions": [[region.start, region.end] for region in speech_regions(pcm)]}, b""
    raise ValueError(f"unknown operation {header['op']!r}")


def main(arguments: list[str]) -> int:
    """Load the voice engine and answer requests on stdin until the stream ends or is idle; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="", help="speaker model of sherpa-onnx")
    options = parser.parse_args(arguments)
    # Native libraries may print to file descriptor 1: the messages get a descriptor of their own.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    source = os.fdopen(0, "rb", buffering=0)
    reader = os.fdopen(os.dup(0), "rb")
    try:
        engine = load_engine(options.model)
    except Exception as error:
        write_message(out, {"error": str(error), "kind": "permanent"})
        return 1
    write_message(out, {"name": engine.name, "version": engine.version, "dimension": engine.dimension})
    while select.select([source], [], [], IDLE)[0]:
        message = read_message(reader)
        if message is None:
            return 0
        try:
            header, payload = answer(engine, *message)
        except Exception as error:
            header, payload = {"error": f"{type(error).__name__}: {error}", "kind": "permanent"}, b""
        write_message(out, header, payload)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
