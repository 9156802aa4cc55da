"""Counters that any process adds to and any web server shows.

Workers serve no HTTP, so Prometheus never asks them. What they count stays in their memory for a moment (``counters``)
and is added to rows (``models.SharedTotal``), from which whichever web server is scraped reads it.
"""

from __future__ import annotations
