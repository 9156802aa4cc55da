"""Recaps of a user's days and weeks, made of their memories and of nothing else (docs/search.md#recaps)."""
