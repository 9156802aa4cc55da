"""Passages of about a minute of what was said, each with a vector, so that a search finds the moment; and beside them
what a search filters by and what forgives a misspelling (docs/search.md)."""
