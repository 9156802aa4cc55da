"""Many things in the pieces that a store, a vendor or a model takes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def batches(
    items: Iterable[T], budget: int, cost: Callable[[T], int] = lambda _: 1, *, most: int | None = None
) -> Iterator[list[T]]:
    """Yield the items in batches: in order, each of at most ``budget`` (items, or what ``cost`` counts) and of at most
    ``most`` items. An item is never cut: one over the budget is a batch of its own."""
    batch: list[T] = []
    size = 0
    for item in items:
        weight = cost(item)
        if batch and (size + weight > budget or len(batch) == most):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += weight
    if batch:
        yield batch
