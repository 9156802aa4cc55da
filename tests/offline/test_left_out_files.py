"""Files of which nothing is made: no recordings, other bytes than announced, too long to listen to, quiet ones. The
others of their batch go on."""

from __future__ import annotations

from typing import Any

import pytest

from memories.offline import working
from memories.offline.models import SyncFile
from memories.pipeline import subprocess_runner
from omi.core.errors import OwnFault
from tests.offline.conftest import TALK, App, Make, memories, pcm, script

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("content", "kind", "problem"),
    [(b"no recording at all" * 50, "file", "not_audio"), (b"\xff" * 400, "opus", "broken")],
    ids=["no recording", "no packets"],
)
def test_a_file_that_cannot_be_read_is_refused_and_the_others_go_on(
    app: App, make: Make, content: bytes, kind: str, problem: str
) -> None:
    script("one")
    batch = app.send((content, 0, kind), (pcm(*TALK), 60, "pcm16"))
    assert working.work(batch) == "done"
    make()
    shown = app.shown(batch)["files"]
    assert [(item["state"], item["problem"]) for item in shown] == [("refused", problem), ("placed", None)]
    assert len(memories()) == 1


def test_a_file_that_is_not_the_one_that_was_announced_is_refused(app: App, make: Make) -> None:
    content = pcm(*TALK)
    batch = app.send((content, 0, "pcm16"))
    SyncFile.objects.update(sha256="0" * 64)
    working.work(batch)
    assert [(item["state"], item["problem"]) for item in app.shown(batch)["files"]] == [("refused", "checksum")]


def test_a_file_that_takes_too_long_to_be_listened_to_holds_up_no_other(
    app: App, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    script("one")
    real = subprocess_runner.call

    def slow(function: str, arguments: dict[str, Any], *, timeout: float) -> Any:
        if function.endswith(".speech"):
            monkeypatch.setattr(subprocess_runner, "call", real)
            raise OwnFault("the work took too long", code=subprocess_runner.TOO_LONG)
        return real(function, arguments, timeout=timeout)

    monkeypatch.setattr(subprocess_runner, "call", slow)
    batch = app.send((pcm(*TALK, seed=1), 0, "pcm16"), (pcm(*TALK, seed=2), 60, "pcm16"))
    assert working.work(batch) == "done"
    assert [(item["state"], item["problem"]) for item in app.shown(batch)["files"]] == [
        ("refused", "took_too_long"), ("placed", None),
    ]  # fmt: skip


def test_quiet_is_silent(app: App, make: Make) -> None:
    batch = app.send((pcm(("quiet", 12.0)), 0, "pcm16"))
    working.work(batch)
    assert (app.states(batch), make()) == (["silent"], [])
