"""What the voice engine says of a piece of audio is asked once in a run of the suite, by all its workers together.

The suites give the same bundled recordings to the real engine hundreds of times: nearly all of their time went into
waiting for its child. Its answers depend on nothing but the samples, and an embedding on nothing but its own cut
(``tests/engines/test_campplus.py`` proves that), so they are kept: in this process, and in a folder that the workers
of a run share and that ends with it.

Tests of the engine and of its child ask it (``ASKED``), and so does every process that a test starts, unless the test
tells it of the folder (``FOLDER``).
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speakers.engines.client import WorkerClient
from speakers.engines.worker import LARGEST

ASKED = ("tests/speakers/test_engine_process.py", "tests/engines/", "tests/speakers/test_checks.py")
"""What proves the engine or its child asks it each time."""

FOLDER = "TESTS_HEARD_ONCE"
"""Environment variable of a process that a test starts, for ``in_this_process``."""

RATE = 16_000
Pcm = NDArray[np.int16]


class Answers:
    """By key: in memory, and as a file each in ``folder``. A file is there in full or not at all."""

    def __init__(self, folder: Path) -> None:
        self.remembered = True
        self._folder = folder
        self._known: dict[str, bytes] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> bytes | None:
        if key not in self._known:
            try:
                self._known[key] = (self._folder / key).read_bytes()
            except FileNotFoundError:
                return None
        return self._known[key]

    def put(self, key: str, answer: bytes) -> None:
        self._known[key] = answer
        written = self._folder / f"{key}.{os.getpid()}.{threading.get_ident()}"
        written.write_bytes(answer)
        written.replace(self._folder / key)


def key_of(question: str, pcm: Pcm) -> str:
    return f"{question}-{hashlib.sha256(np.ascontiguousarray(pcm, '<i2').tobytes()).hexdigest()}"


def cut_of(pcm: Pcm, start: float, end: float) -> Pcm:
    """The samples that the engine takes for this segment."""
    return pcm[max(0, round(start * RATE)) : max(0, round(end * RATE))]


def engine_of(client: WorkerClient) -> str | None:
    """What its answers depend on beside the audio; None where there is no such engine, which its child tells."""
    if not client._arguments:
        return "bundled"
    model = Path(client._arguments[-1])
    return f"{model.stem}-{hashlib.sha256(model.read_bytes()).hexdigest()[:16]}" if model.is_file() else None


def memo(answers: Answers, client: type[WorkerClient], patch: pytest.MonkeyPatch) -> None:
    """``client``'s calls answer what is known, and ask its child the rest."""
    describe, embed, speech = client.describe, client.embed, client.speech

    def engine(self: WorkerClient, pcm: Any) -> str | None:
        """Of a question that is remembered."""
        plain = isinstance(pcm, np.ndarray) and pcm.dtype == np.int16 and pcm.ndim == 1 and pcm.nbytes <= LARGEST
        return engine_of(self) if answers.remembered and plain else None

    @functools.wraps(describe)
    def described(self: WorkerClient) -> dict[str, Any]:
        name = engine_of(self) if answers.remembered and not self.hello else None
        if name is None:
            return describe(self)
        known = answers.get(f"hello-{name}")
        if known is None:
            answers.put(f"hello-{name}", json.dumps(describe(self)).encode())
        else:
            self.hello = json.loads(known)
        return self.hello

    @functools.wraps(embed)
    def embedded(self: WorkerClient, pcm: Pcm, segments: list[tuple[float, float]]) -> NDArray[np.float32]:
        name = engine(self, pcm)
        if not segments or name is None:
            return embed(self, pcm, segments)
        keys = [key_of(name, cut_of(pcm, *segment)) for segment in segments]
        unknown = {key: segment for key, segment in zip(keys, segments, strict=True) if answers.get(key) is None}
        if unknown:
            for key, row in zip(unknown, embed(self, pcm, list(unknown.values())), strict=True):
                answers.put(key, row.astype("<f4").tobytes())
        rows = [np.frombuffer(answers.get(key) or b"", "<f4") for key in keys]
        return np.stack(rows).astype(np.float32)

    @functools.wraps(speech)
    def heard(self: WorkerClient, pcm: Pcm) -> list[tuple[float, float]]:
        if engine(self, pcm) is None:
            return speech(self, pcm)
        key = key_of("speech", pcm)  # of every engine: the detector is the same
        known = answers.get(key)
        if known is None:
            known = json.dumps(speech(self, pcm)).encode()
            answers.put(key, known)
        return [(start, end) for start, end in json.loads(known)]

    patch.setattr(client, "describe", described)
    patch.setattr(client, "embed", embedded)
    patch.setattr(client, "speech", heard)


def in_this_process() -> None:
    """For a process that a test starts with ``FOLDER``: its voices are not what the test is about."""
    memo(Answers(Path(os.environ[FOLDER])), WorkerClient, pytest.MonkeyPatch())


_ANSWERS: list[Answers] = []


@pytest.fixture(scope="session", autouse=True)
def voices_heard_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Gives the folder of the answers."""
    own = tmp_path_factory.getbasetemp()
    run = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = run / "heard-once"
    _ANSWERS.append(Answers(folder))
    with pytest.MonkeyPatch.context() as patch:
        memo(_ANSWERS[-1], WorkerClient, patch)
        yield folder
    _ANSWERS.clear()


@pytest.fixture(autouse=True)
def _asked_or_remembered(request: pytest.FixtureRequest, voices_heard_once: Path) -> None:
    _ANSWERS[-1].remembered = not request.node.nodeid.startswith(ASKED)
