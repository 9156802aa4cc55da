"""Stretches of time: what is joined, cut and left over is what a count of hundredths of seconds says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transcription.spans import Span, intersect, length, merge, subtract

ANY = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12)


def seconds(spans: list[Span]) -> set[int]:
    return {at for start, end in spans for at in range(int(start), int(end))}


@given(ANY, ANY)
def test_spans_are_sets_of_seconds(one: list[Span], other: list[Span]) -> None:
    a, b = merge(one), merge(other)
    assert seconds(a) == seconds(one)
    assert seconds(intersect(a, b)) == seconds(a) & seconds(b)
    assert seconds(subtract(a, b)) == seconds(a) - seconds(b)
    assert length(a) == len(seconds(a))
    for found in (a, intersect(a, b), subtract(a, b)):
        assert all(start < end for start, end in found)
        assert found == sorted(found)
