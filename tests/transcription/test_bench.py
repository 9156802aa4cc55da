"""The benchmark of the live path judges rightly: what it says of waits and losses is what happened."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.load import Result, judge
from bench.wire import BINARY, Peer, frame

STEP = 0.1


def stream(arrived_after: float, *, seconds: float = 10.0, lost_from: float | None = None) -> tuple[Any, Any]:
    """A client that sent in time, and its vendor: all audio arrives ``arrived_after`` s late; words each half second
    are said 0.3 s later and heard 0.02 s after that."""
    sent = [100.0 + index * STEP for index in range(round(seconds / STEP))]
    arrivals = [[round((index + 1) * STEP, 3), moment + arrived_after] for index, moment in enumerate(sent)]
    if lost_from is not None:
        arrivals = [item for item in arrivals if item[0] <= lost_from]
    heard = []
    for number in range(1, round(seconds / 0.5) + 1):
        arrived = sent[number * 5 - 1] + arrived_after
        heard.append((arrived + 0.32, f"7/{arrived:.5f}/{arrived + 0.3:.5f}/{number * 0.5:.3f}"))
    return SimpleNamespace(sent=sent, heard=heard), {7: arrivals}


def test_waits_are_told_apart_and_the_vendors_own_time_is_taken_out() -> None:
    client, vendor = stream(0.03)
    result = Result(1)
    judge(result, [client], vendor, STEP)
    assert result.up == pytest.approx([30.0] * 80, abs=0.1)
    assert result.down == pytest.approx([20.0] * 16, abs=0.1)
    assert result.words == pytest.approx([50.0] * 16, abs=0.1)
    assert result.carried


def test_a_batch_is_timed_from_its_first_frame() -> None:
    client, vendor = stream(0.0)
    vendor[7] = [item for item in vendor[7] if round(item[0] * 10) % 4 == 0]  # every fourth message only
    result = Result(1)
    judge(result, [client], vendor, STEP)
    assert max(result.up) == pytest.approx(300.0, abs=0.1)
    assert not result.carried


def test_audio_that_never_arrives_is_counted() -> None:
    client, vendor = stream(0.0, lost_from=9.0)
    result = Result(1)
    judge(result, [client], vendor, STEP)
    assert result.dropped == 10
    assert not result.carried


@given(
    st.lists(st.binary(max_size=300) | st.integers(65530, 65600).map(bytes), min_size=1, max_size=4),
    st.integers(1, 999),
)
@settings(max_examples=40, deadline=None)
def test_messages_cut_anywhere_on_the_wire_come_out_whole(messages: list[bytes], step: int) -> None:
    peer = Peer.__new__(Peer)
    peer.open, peer._left = True, b""
    found: list[tuple[int, bytes]] = []
    peer.message = lambda opcode, payload, mask: found.append((opcode, payload))  # type: ignore[method-assign]
    wire = b"".join(frame(BINARY, message, masked=True) for message in messages)
    step = max(step, len(wire) // 500)
    for at in range(0, len(wire), step):
        peer.data_received(wire[at : at + step])
    assert found == [(BINARY, message) for message in messages]
