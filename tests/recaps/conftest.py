"""The same user and talks as the tests of search."""

from tests.search.conftest import alice, bob, lexical, model, remember, talk, vendor_server, vendors  # noqa: F401
