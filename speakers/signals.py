"""What the packages above may listen to. Senders are the functions that made the change, after it was stored."""

from __future__ import annotations

from django.dispatch import Signal

person_changed = Signal()
"""``uid``, ``person`` (speakers.shapes.Person; ``deleted`` True for a deleted one): the mirror follows."""

voice_found = Signal()
"""``uid``, ``memory_id``, ``voice`` (label), ``person_id`` ('' = the user), ``probability``, ``turns`` (the stretches
that were heard, seconds): a voice of an older memory was recognised. A receiver relabels the memory's segments, those
that a person labelled excepted, and can be called again with the same."""
