"""What counts as a voice when windows are grouped."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speakers.diarization import find_voices
from speakers.engines.scale import RESEMBLYZER


def windows(*counts: int) -> NDArray[np.float32]:
    """``counts[n]`` windows of the n-th voice; the voices have nothing in common."""
    return np.repeat(np.eye(len(counts), dtype=np.float32), counts, axis=0)


@pytest.mark.parametrize(
    ("counts", "voices"),
    [
        ((100, 100), 2),
        ((100, 5), 1),  # two seconds of laughter in a minute
        ((100, 6), 2),
        ((4, 3), 2),  # a short recording: few windows, and a share of them is enough
        ((1, 1, 1), 3),
        ((1,), 1),
        ((4000, 3000, 4), 2),  # more windows than are clustered
        ((30,) * 10, 8),  # at most so many
    ],
)
def test_a_voice_has_some_seconds_or_a_share_of_a_short_recording(counts: tuple[int, ...], voices: int) -> None:
    assert len(find_voices(windows(*counts), 8, RESEMBLYZER)) == voices


def test_where_every_group_is_small_the_largest_is_the_voice() -> None:
    assert len(find_voices(windows(*[2] * 30, 3), 8, RESEMBLYZER)) == 1
