"""Cutting many things into what is taken at once: nothing is lost, nothing is over the limits, and nothing is early."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
from hypothesis import given

from omi.core.batches import batches


@given(st.lists(st.integers(0, 12)), st.integers(1, 20), st.one_of(st.none(), st.integers(1, 5)))
def test_batches_are_in_order_within_the_limits_and_as_few_as_that_allows(
    items: list[int], budget: int, most: int | None
) -> None:
    made = list(batches(items, budget, lambda item: item, most=most))
    assert [item for batch in made for item in batch] == items
    assert all(batch for batch in made)
    assert all(sum(batch) <= budget or len(batch) == 1 for batch in made)
    assert all(len(batch) <= most for batch in made if most is not None)
    for batch, following in itertools.pairwise(made):
        assert sum(batch) + following[0] > budget or len(batch) == most


def test_without_a_cost_items_are_counted() -> None:
    assert list(batches("abcde", 2)) == [["a", "b"], ["c", "d"], ["e"]]
    assert list(batches(iter(()), 2)) == []
