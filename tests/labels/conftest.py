"""The callers and memories of the API's tests."""

from __future__ import annotations

from tests.api.conftest import alice, bob, make_memory

__all__ = ["alice", "bob", "make_memory"]
