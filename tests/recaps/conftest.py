"""The same user and talks as the tests of search."""

from tests.search.conftest import alice, bob, lexical, remember  # noqa: F401
