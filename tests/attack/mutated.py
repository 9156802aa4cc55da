"""Answers of vendors with something wrong in them: a field replaced, taken away, or said twice."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import strategies as st

from omi.core.errors import ProviderError

Read = TypeVar("Read")

JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(10**14, 10**30), st.floats(allow_nan=True),
    st.text(max_size=8), st.sampled_from(["\x00", "\ud800", "a\ud800b", "12.5", "-1", "1e400", "x" * 300]),
    st.just([]), st.just({}), st.just([12.0]), st.just([None, None]), st.just({"a": [1]}), st.just([[]]),
)  # fmt: skip
ANY_JSON = st.recursive(JUNK, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))

Path = tuple[str | int, ...]


def paths(value: Any, here: Path = ()) -> list[Path]:
    """Every place in a JSON value but the whole."""
    found: list[Path] = []
    pairs: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found += [(*here, key), *paths(inner, (*here, key))]
    return found


def outcome(read: Callable[[Any], Read], answer: Any) -> Read | ProviderError:
    """What a reader makes of an answer. Any error but ``ProviderError`` goes through."""
    try:
        return read(answer)
    except ProviderError as error:
        return error


@st.composite
def mutated(draw: Callable[..., Any], answer: Any, most: int = 3, under: Path = ()) -> Any:
    """``answer`` with up to ``most`` changes, all of them ``under`` a place; and where they were made."""
    made, where = copy.deepcopy(answer), []
    for _ in range(draw(st.integers(1, most))):
        open_paths = [path for path in paths(made) if path[: len(under)] == under and len(path) > len(under)]
        if not open_paths:
            break
        path = draw(st.sampled_from(open_paths))
        holder = made
        for key in path[:-1]:
            holder = holder[key]
        action = draw(st.sampled_from(["replace", "replace", "remove", "twice"]))
        if action == "replace":
            holder[path[-1]] = copy.deepcopy(draw(JUNK))  # it may be changed itself next
        elif action == "remove":
            del holder[path[-1]]
        elif isinstance(holder, list):
            holder.insert(int(path[-1]), copy.deepcopy(holder[path[-1]]))
        where.append((action, path))
    return made, where
