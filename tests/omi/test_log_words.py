"""The demo's conversation, spoken and uploaded to real servers: none of its words is in the log of any process.

A word is searched for when it has five letters or more and is not one of the program's own: those are the words in the
names of the code and in its texts of one word (events, reasons, codes). What that leaves out is searched for in pairs
of words that were said one after the other.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from demo import material
from demo.servers import installation
from demo.vendors.server import VendorServer
from demo.vendors.truth import Library
from omi.accounts import tokens
from tests.acceptance.wire import App, listen
from tests.support import sound
from tests.support.migrated import migrated
from tests.webhooks.conftest import Receiver, receiver

__all__ = ["receiver"]

pytestmark = pytest.mark.process
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "demo" / "recordings" / "conversation.json"
SPOKEN = 24
"""Seconds of it that are streamed, and uploaded again."""


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


@cache
def own_words() -> frozenset[str]:
    """Words of which the code's names and its texts of one word (events, reasons, codes) are made."""
    found: set[str] = set()
    for part in ("omi", "memories", "transcription", "speakers", "emotions"):
        for file in (ROOT / part).rglob("*.py"):
            found |= set(words_of(file.stem.replace("_", " ")))
            for node in ast.walk(ast.parse(file.read_text())):
                for name in ("id", "attr", "name", "arg", "value"):
                    text = getattr(node, name, None)
                    if isinstance(text, str) and " " not in text:
                        found |= set(words_of(re.sub(r"([a-z])([A-Z])", r"\1 \2", text).replace("_", " ")))
    return frozenset(found)


def quoted(said: Iterable[str], logged: str) -> list[str]:
    """Words of ``said``, and pairs of them, that are in ``logged``."""
    spoken = list(said)
    there = words_of(logged.replace("_", " "))
    found = {word for word in set(spoken) - own_words() if len(word) >= 5} & set(there)
    pairs = {pair for pair in itertools.pairwise(spoken) if len("".join(pair)) > 8}
    return sorted([*found, *(" ".join(pair) for pair in pairs & set(itertools.pairwise(there)))])


def events_of(memory_id: str, logs: str) -> set[str]:
    """What the logs of all processes tell with this id."""
    lines = [json.loads(line) for line in logs.splitlines() if line.startswith("{")]
    return {str(line["event"]) for line in lines if line.get("memory_id") == memory_id}


def test_no_word_of_the_conversation_is_in_any_log_and_its_id_leads_through_all_of_them(
    tmp_path: Path, receiver: Receiver
) -> None:
    script = json.loads(SCRIPT.read_text())
    said = [word for item in script["words"] for word in words_of(item["word"])]
    pcm = material.pcm(material.bundled().recording)[: SPOKEN * 32000]
    with VendorServer(Library([]).load(SCRIPT), vendors=("deepgram", "soniox")) as vendors:
        settings = {
            **vendors.urls, "DJANGO_SETTINGS_MODULE": "omi.settings", "OMI_LIVE": "deepgram",
            "OMI_PRERECORDED": "soniox", "OMI_LOG_LEVEL": "DEBUG", "OMI_LOG_FORMAT": "json",
            "OMI_WEBHOOK_LOOPBACK": "true",
        }  # fmt: skip
        with installation(tmp_path / "data", database=migrated(), staff=False, settings=settings) as own:
            token = tokens.mint("ana")
            app = App(own.url, "ana", token)
            assert app.post("/v1/webhooks", json={"url": receiver.url}).status_code == 200
            with listen(own.url, token) as socket:
                for start in range(0, len(pcm), 32000):
                    socket.send(pcm[start : start + 32000])
                socket.until(lambda message: isinstance(message, list), 60)
                socket.send('{"type": "finish"}')
                memory: dict[str, Any] = socket.event("new_memory_created", seconds=120)["memory"]
            heard = words_of(" ".join(segment["text"] for segment in memory["transcript_segments"]))
            assert len(set(heard) & set(said)) > 20, "the conversation went through the servers"
            path = f"/v1/memories/{memory['id']}"
            assert app.upload(f"{path}/post-processing", sound.wav(pcm)).status_code == 200
            app.wait(f"{path}/post-processing", lambda run: run["state"] == "finished", 120)
            rare = max(heard, key=len)
            assert app.post("/v1/memories/search", json={"query": rare}).status_code == 200
            assert app.get("/v1/search", params={"q": rare}).status_code == 200
            assert app.post("/v1/ask", json={"question": f"What about {rare}?"}).status_code == 200
            until = time.monotonic() + 60
            while not any(b"memory.post_processed" in body for _, body in receiver.got):
                assert time.monotonic() < until, "the webhook came"
                time.sleep(0.1)
            title = words_of(app.get(path).json()["structured"]["title"])
        logs = "\n".join((tmp_path / "data" / f"{name}.log").read_text() for name in ("web", "worker"))
    told = {"conversation_opened", "session_ended", "run_created", "vendor_called", "run_finished", "webhook_delivered"}
    assert told - events_of(memory["id"], logs) == set(), "one id leads from the socket to the webhook"
    searched = {word for word in set(said) - own_words() if len(word) >= 5}
    assert len(searched) > 15, f"too few words are left to search for: {searched}"
    assert quoted([*said, *title], logs) == []
    assert quoted(said, f"{logs} {min(searched)}") == [min(searched)], "it would have been found"
