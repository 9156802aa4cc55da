"""What the logs of a run say, and that no word of a conversation is ever in them, at DEBUG either."""

from __future__ import annotations

import io
import itertools
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings

from demo.vendors.server import VendorServer
from memories.pipeline import runner, service
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.core import logging as omi_logging
from tests.pipeline.conftest import MEMORY, UID
from tests.pipeline.vendor_run import EVER, Process, process
from tests.support.vendor_fixtures import Talk, talk, vendor_server, vendors
from transcription.segments import Segment

__all__ = ["process", "talk", "vendor_server", "vendors"]
pytestmark = pytest.mark.django_db


class Lines(io.StringIO):
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Every line that a process with ``OMI_LOG_LEVEL=DEBUG`` writes."""
    out = Lines()
    monkeypatch.setattr("sys.stderr", out)
    omi_logging.configure({"level": "DEBUG", "format": "json"})
    yield out
    monkeypatch.undo()
    omi_logging.configure(django_settings.LOGGING)


def quotes(said: str, logged: str) -> list[str]:
    """Pairs of words of ``said`` that follow each other in ``logged``, too."""
    words = re.findall(r"[a-z']+", said.lower())
    pairs = {f"{a} {b}" for a, b in itertools.pairwise(words) if len(a) + len(b) > 8}
    plain = " ".join(re.findall(r"[a-z']+", logged.lower()))
    assert len(pairs) > 5
    return sorted(pair for pair in pairs if pair in plain)


def everything_said(talk: Talk, memory: Memory) -> str:
    return " ".join(word.word for word in talk.words) + " " + memory.transcript_segments[0].text


def test_a_run_at_debug_quotes_nobody_and_names_who_what_and_where(
    process: Process, lines: Lines, talk: Talk, memory: Memory
) -> None:
    run = process(emotional_feedback=True)
    assert run.outcome == "success"
    assert quotes(everything_said(talk, memory), lines.getvalue()) == []
    assert repository.get_memory(UID, MEMORY).structured.title not in lines.getvalue()
    events = [item for item in lines.events() if item.get("logger", "").startswith("memories.pipeline")]
    assert {"assessed", "step_done", "step_waits", "run_finished"} <= {item["event"] for item in events}
    worked = [item for item in events if item["event"] != "run_created"]
    for item in worked:
        assert (item["uid"], item["memory_id"], item["run_id"]) == (UID, MEMORY, run.pk)
        assert item["step"] in run.plan


def test_vendors_that_answer_with_what_was_said_are_not_quoted(
    process: Process, lines: Lines, talk: Talk, memory: Memory, vendors: VendorServer
) -> None:
    said = everything_said(talk, memory)
    vendors.faults("fal", {"kind": "refuse", "status": 422, "message": said, "code": said, "op": "submit", **EVER})
    vendors.faults("deepgram", {"kind": "body", "text": json.dumps({"results": said}), "op": "file", "times": 2})
    vendors.faults("openai", {"kind": "refuse", "status": 400, "message": said, "op": "chat", **EVER})
    process()
    assert "provider_given_up" in lines.getvalue()
    assert quotes(said, lines.getvalue()) == []


@pytest.mark.parametrize(
    "crash",
    [
        lambda said: Segment.model_validate({"text": {"not": said}, "speaker": said, "start": said}),
        lambda said: int(said),
        lambda said: {}[said],
        lambda said: said.encode("ascii", "strict") and json.loads(said),
    ],
    ids=["validation", "value", "key", "json"],
)
def test_a_crash_is_logged_with_its_place_and_without_the_values(
    memory: Memory, upload: Any, heard: Any, lines: Lines, monkeypatch: pytest.MonkeyPatch, crash: Any
) -> None:
    said = memory.transcript_segments[0].text

    def structure(self: Any, request: Any) -> Any:
        try:
            raise OSError("a file of the house is not there")
        except OSError as error:
            try:
                crash(said)
            except Exception as second:
                raise second from error

    monkeypatch.setattr("tests.pipeline.fakes.FakeStructurer.structure", structure)
    run = service.start("reprocess", UID, MEMORY, actor="test")
    assert runner.work(run.pk) == "waiting"
    [crashed] = [item for item in lines.events() if item["event"] == "step_crashed"]
    assert "test_logs.py" in crashed["exception"]
    assert "a file of the house is not there" in crashed["exception"], "words that cannot hold speech are kept"
    assert quotes(said, lines.getvalue()) == []


def test_below_info_only_our_own_code_is_logged(lines: Lines) -> None:
    for name in ("openai._base_client", "django.db.backends", "hume", "pinecone", "grpc", "aiohttp", "asyncio"):
        logging.getLogger(name).debug("a whole request: %s", "what was said")
    logging.getLogger("memories.pipeline").debug("ours")
    assert [item["event"] for item in lines.events()] == ["ours"]
