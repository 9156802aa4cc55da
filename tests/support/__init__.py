"""Real parts for tests: databases and emulators as child processes on free ports."""
