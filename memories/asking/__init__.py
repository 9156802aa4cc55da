"""Answers to questions over a user's memories, of nothing but passages that were found (docs/search.md#ask)."""
