"""Fixtures of every test are beside the tests; the environment of the test run is ``tests/settings.py``."""
