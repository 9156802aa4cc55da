"""Packets of a damaged file: what is good is heard at its time, and what is lost is silence of its length."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memories.offline import decoding, packets, working
from memories.offline.packets import LOST
from tests.offline.conftest import App, pcm
from tests.offline.test_conversations import _opus
from transcription.audio.convert import AudioError

SIZE = 40


def written(count: int, seed: int = 1) -> list[bytes]:
    """Records with packets of 10 ms."""
    made = random.Random(seed)
    return [SIZE.to_bytes(4, "little") + b"\x40" + made.randbytes(SIZE - 1) for _ in range(count)]


def opened(folder: Path, content: bytes) -> decoding.Source:
    path = folder / "file"
    path.write_bytes(content)
    return decoding.opened(path, "opus", None, folder)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 100_000, 61_000, 500, 41, 39, 1])
def test_a_damaged_length_costs_its_own_packet_and_at_most_the_one_before(tmp_path: Path, length: int) -> None:
    records = written(1000)
    broken = [*records]
    broken[500] = length.to_bytes(4, "little") + records[500][4:]
    source = opened(tmp_path, b"".join(broken))
    assert source.seconds == pytest.approx(10.0, abs=0.02)
    heard = list(source.frames(0.0, source.seconds))
    assert heard[:499] == [record[4:] for record in records[:499]]
    assert heard[-498:] == [record[4:] for record in records[-498:]]
    assert len(heard) - heard.count(LOST) >= 997
    assert list(source.frames(9.0, source.seconds)) == heard[900:]


def test_a_lost_stretch_is_silence_of_its_length(tmp_path: Path) -> None:
    records = written(6000)
    torn = b"".join(records[:2000]) + b"\xee" * (44 * 500) + b"".join(records[2500:])
    source = opened(tmp_path, torn)
    heard = list(source.frames(0.0, source.seconds))
    assert (source.seconds, heard.count(LOST)) == (60.0, 501)  # with the last one before it
    assert heard[2500:] == [record[4:] for record in records[2500:]]
    for second in (19.9, 20.0, 22.0, 24.99, 25.0, 50.0):
        assert list(source.frames(second, second + 1.0)) == heard[round(second * 100) : round(second * 100) + 100]


def test_damage_beyond_what_is_searched_ends_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packets, "SEARCHED", 1000)
    records = written(200)
    source = opened(tmp_path, b"".join(records[:100]) + b"\xee" * 2000 + b"".join(records[100:]))
    assert source.seconds == 0.99


def test_a_torn_last_packet_is_left_out(tmp_path: Path) -> None:
    content = b"".join(written(100))
    assert opened(tmp_path, content[:-7]).seconds == 0.99
    assert opened(tmp_path, content + b"\x01").seconds == 1.0


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000), st.integers(1, 50), st.integers(0, 50))
def test_whatever_the_bytes_are_they_are_read_the_same_way_twice(
    tmp_path_factory: pytest.TempPathFactory, between: bytes, before: int, behind: int
) -> None:
    records = written(100)
    content = b"".join(records[:before]) + between + b"".join(records[:behind])
    try:
        source = opened(tmp_path_factory.mktemp("packets"), content)
    except AudioError:
        return
    heard = list(source.frames(0.0, source.seconds))
    assert list(source.frames(0.0, source.seconds)) == heard
    assert heard[: before - 1] == [record[4:] for record in records[: before - 1]]


@pytest.mark.django_db
def test_a_file_with_a_damaged_length_is_no_refused_one(app: App) -> None:
    real = _opus(np.frombuffer(pcm(("talk", 12.0)), "<i2"), 160)
    records = [len(packet).to_bytes(4, "little") + packet for packet in real]
    records[600] = b"\xff\xff\xff\x7f" + records[600][4:]
    batch = app.send((b"".join(records), 0, "opus"))
    assert working.work(batch) == "done"
    shown = app.shown(batch)["files"][0]
    assert (shown["state"], shown["seconds"]) == ("placed", pytest.approx(12.0, abs=0.05))
