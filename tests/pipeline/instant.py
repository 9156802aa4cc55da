"""For measuring and for soaking: decoding and speech detection that answer at once. Named by a settings module."""

from __future__ import annotations

import hashlib
import wave
from pathlib import Path
from typing import Any

from memories.pipeline import subprocess_runner
from transcription.audio import convert


def nothing() -> None:
    """A task that does nothing: Django-Q2's own rate."""


def bare(counts: dict[str, int]) -> None:
    """A task that does nothing but the statements of a run, as text, in as many transactions."""
    from django.db import connection, transaction

    kinds = [kind for kind in STATEMENTS for _ in range(counts[kind])]
    size = -(-len(kinds) // counts["transactions"])
    with connection.cursor() as cursor:
        for start in range(0, len(kinds), size):
            with transaction.atomic():
                for number, kind in enumerate(kinds[start : start + size]):
                    values = [number] if kind == "SELECT" else [BODY, number]
                    cursor.execute(STATEMENTS[kind], values)
                    if kind == "SELECT":
                        cursor.fetchall()


BODY = "x" * 600
"""About what a run writes per statement."""

STATEMENTS = {
    "SELECT": "SELECT id, body FROM bench_rows WHERE id = %s LIMIT 1",
    "UPDATE": "UPDATE bench_rows SET body = %s WHERE id = %s",
    "INSERT": "INSERT INTO bench_lines (body, id) VALUES (%s, %s)",
}


def tables() -> None:
    """What ``bare`` works on: 100 rows by key, and lines that are only added to."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_rows (id integer primary key, body text)")
        cursor.execute("CREATE TABLE bench_lines (id integer, body text)")
        for number in range(100):
            cursor.execute("INSERT INTO bench_rows (id, body) VALUES (%s, %s)", [number, BODY])


def _decode(src: Path, dest: Path, *, limits: Any = None) -> convert.AudioInfo:
    with wave.open(str(dest), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(src.read_bytes()[:32000].ljust(32000, b"\0"))
    return convert.AudioInfo(1.0, 16000, 1, "wav", "pcm_s16le")


def _call(function: str, arguments: dict[str, Any], *, timeout: float) -> Any:
    if not function.endswith(".speech"):
        return _real(function, arguments, timeout=timeout)
    sha = hashlib.sha256(Path(arguments["path"]).read_bytes()).hexdigest()
    return {"seconds": 12.0, "regions": [[0.9, 7.8]], "sha256": sha}


_real = subprocess_runner.call
convert.decode_to_wav = _decode
subprocess_runner.call = _call
