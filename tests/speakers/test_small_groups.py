"""What counts as a voice when windows are grouped."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speakers.diarization import find_voices
from speakers.engines.scale import Scale

WIDE = Scale(window=0.65, cluster=0.80, part=0.78, label=0.85, sentence=0.75, utterance=0.75, margin=0.05)
"""Bounds of no engine, between which the groups of these tests lie."""


def windows(*counts: int) -> NDArray[np.float32]:
    """``counts[n]`` windows of the n-th voice; the voices have nothing in common."""
    return np.repeat(np.eye(len(counts), dtype=np.float32), counts, axis=0)


def between(count: int, alike: float) -> NDArray[np.float32]:
    """``count`` windows whose cosine to the first of three voices is ``alike``: two at once, a word at the edge."""
    return np.repeat([[alike, 0.0, np.sqrt(1 - alike**2)]], count, axis=0).astype(np.float32)


@pytest.mark.parametrize(
    ("counts", "voices"),
    [
        ((100, 100), 2),
        ((100, 3), 2),  # a guest who says one sentence, like nobody else
        ((100, 2), 1),  # two windows are no voice
        ((4, 3), 2),  # a short recording: few windows, and a share of them is enough
        ((1, 1, 1), 3),
        ((1,), 1),
        ((4000, 3000, 4), 3),  # more windows than are clustered: the guest is found nevertheless
        ((4000, 3000, 2), 2),
        ((30,) * 10, 8),  # at most so many
        ((30,) * 8 + (5,), 8),
    ],
)
def test_a_voice_has_some_seconds_or_a_share_of_a_short_recording(counts: tuple[int, ...], voices: int) -> None:
    assert len(find_voices(windows(*counts), 8, WIDE)) == voices


@pytest.mark.parametrize(
    ("count", "alike", "voices"),
    [
        (5, 0.68, 2),  # like a known voice, and too few
        (6, 0.60, 3),
        (5, 0.60, 3),  # few, but like nobody
    ],
)
def test_a_small_group_that_is_like_a_voice_is_none_of_its_own(count: int, alike: float, voices: int) -> None:
    mixed = np.concatenate([np.pad(windows(100, 100), ((0, 0), (0, 1))), between(count, alike)])
    assert len(find_voices(mixed, 8, WIDE)) == voices


def test_where_every_group_is_small_the_largest_and_those_like_none_are_voices() -> None:
    assert len(find_voices(windows(*[2] * 30, 3), 8, WIDE)) == 1
    assert len(find_voices(windows(*[2] * 30, 3, 3), 8, WIDE)) == 2
