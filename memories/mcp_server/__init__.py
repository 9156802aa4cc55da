"""Memories for language models' clients: the Model Context Protocol at ``/mcp`` (docs/search.md#mcp)."""
