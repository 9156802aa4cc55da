from __future__ import annotations

from collections.abc import Iterator

import pytest

from memories.experiments.assigning import forget_known


@pytest.fixture(autouse=True)
def _known_anew() -> Iterator[None]:
    """What a test decides is no other test's: its rows go, so must what the process remembers of them."""
    forget_known()
    yield
    forget_known()
