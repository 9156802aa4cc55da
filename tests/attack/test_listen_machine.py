"""Any order of frames, commands, reconnections and outages: the socket answers, every second is accounted for, and
nothing is left locked or open."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from structlog.testing import capture_logs

from tests.attack.effort import tries
from tests.transcription.fakes import MemorySink, Script
from tests.transcription.live_session import drop
from tests.transcription.wire import TOKENS, Wire, admit
from transcription import journal
from transcription.audio.codecs import codec
from transcription.journal.quota import Quota
from transcription.listen import authentication, capacity, connection_limits
from transcription.session.ending import endings

pytestmark = pytest.mark.django_db

IDS = st.text(max_size=70)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
COMMANDS = st.sampled_from(["finish", "ping", "pong", "auth", "speaker_assigned", "nonsense"])


class Listen(RuleBasedStateMachine):
    """One user with one socket at a time."""

    @initialize(name=st.sampled_from(["pcm8", "pcm16", "opus", "opus_fs320"]), updates=st.booleans())
    def begin(self, name: str, updates: bool) -> None:
        self.loop = asyncio.new_event_loop()
        self.codec = codec(name)
        self.sink = MemorySink()
        self.sink.people = {"anna"}
        self.vendor = Script()
        self.query = {"codec": name, "updates": str(updates).lower(), "sample_rate": str(self.codec.sample_rate)}
        self.wire: Wire | None = None
        self.sent = 0
        self.logs = capture_logs()
        self.logged = self.logs.__enter__()
        self.patch = pytest.MonkeyPatch()
        for where, name_, what in (
            (authentication, "admit", admit),
            (authentication, "verify", admit),
            (connection_limits, "_slots", {}),
            (capacity, "_sessions", {}),
        ):
            self.patch.setattr(where, name_, what)
        self.patch.setattr("transcription.journal.writer.QUOTA", Quota())
        self.patch.setattr("transcription.listen.intake.FINISH_SECONDS", 0.2)
        self.connect()

    def work(self, what: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(what, 30))

    @precondition(lambda self: self.wire is None)
    @rule()
    def connect(self) -> None:
        self.wire = Wire(self.vendor, sink=self.sink, **self.query)
        self.work(self.wire.__aenter__())
        assert self.wire.code is None

    @precondition(lambda self: self.wire is not None)
    @rule()
    def leave(self) -> None:
        assert self.wire is not None
        self.work(self.wire.__aexit__())
        self.wire = None

    def send(self, data: bytes | str) -> None:
        if self.wire is not None:
            self.wire.send(data)
            self.work(self.wire.read())
            if self.wire.code is not None:
                self.leave()

    @rule(frames=st.lists(st.binary(max_size=400), max_size=12))
    def audio(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.hear(frame)

    @rule(size=st.integers(1000, 70_000), fill=st.integers(0, 255))
    def large(self, size: int, fill: int) -> None:
        self.hear(bytes([fill]) * size)

    def hear(self, frame: bytes) -> None:
        taken = frame and len(frame) <= self.codec.max_frame and not (frame == b"\x8a\x00" and self.codec.packets)
        if self.wire is not None and taken:
            self.sent += self.codec.ticks(frame)
        self.send(frame)

    @rule(text=st.text(max_size=200))
    def any_text(self, text: str) -> None:
        self.send(text)

    @rule(kind=COMMANDS, more=st.dictionaries(st.text(max_size=10), JSON, max_size=3))
    def any_command(self, kind: str, more: dict[str, Any]) -> None:
        self.send(json.dumps({**more, "type": kind}))

    @rule(ids=st.lists(IDS, max_size=5), person=IDS | st.sampled_from(["anna", "user"]), shown=st.booleans())
    def assign(self, ids: list[str], person: str, shown: bool) -> None:
        if shown and self.wire is not None:
            ids = [part["id"] for item in self.wire.messages if isinstance(item, list) for part in item] or ids
        self.send(json.dumps({"type": "speaker_assigned", "segment_ids": ids, "person_id": person}))
        for session in capacity.sessions_of("u1"):
            assert {voice.person_id for voice in session._builder.assigned.values()} <= {"anna", None}

    @rule()
    def outage(self) -> None:
        self.sink.down = not self.sink.down

    @rule(after=st.floats(0.01, 3.0))
    def vendor_will_drop(self, after: float) -> None:
        self.vendor.fail_after.append((after, drop()))

    @invariant()
    def it_answers(self) -> None:
        if getattr(self, "wire", None) is None:
            return
        assert self.wire is not None
        before = len(self.wire.of("pong"))
        self.wire.send('{"type": "ping"}')
        wire = self.wire
        self.work(wire.until(lambda: len(wire.of("pong")) > before))
        assert capacity.count() <= django_settings.OMI_SESSIONS_PER_USER

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.sink.down = False
            if self.wire is not None:
                self.leave()
            while ended := endings():
                self.work(asyncio.wait([asyncio.ensure_future(item, loop=self.loop) for item in ended]))
            assert capacity.count() == 0
            heard = sum(entry["received"] for entry in self.logged if entry["event"] == "session_ended")
            assert heard == pytest.approx(self.sent / self.codec.ticks_per_second, abs=0.02 * (1 + len(self.logged)))
            assert [entry for entry in self.logged if entry["event"] == "session_part_failed"] == []
            for entry in journal.sessions():
                lock = entry.lock()
                assert lock is not None, "a journal stayed locked"
                entry.unlock(lock)
        finally:
            TOKENS.clear()
            self.patch.undo()
            self.logs.__exit__(None, None, None)
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()


def test_any_order_of_frames_and_commands_keeps_every_second() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        override_settings(OMI_DATA_DIR=Path(folder), OMI_SESSIONS_PER_USER=500),
    ):
        run_state_machine_as_test(Listen, settings=tries(8, stateful_step_count=20))
